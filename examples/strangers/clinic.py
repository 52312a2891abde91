"""A veterinary clinic without declared keys: names in capitals, abbreviations, days as texts."""

SCRIPT = """
CREATE TABLE Owners (OwnerId INTEGER, Name TEXT, City TEXT, Country TEXT, Joined TEXT);
CREATE TABLE Pets (PetId INTEGER, OwnerId INTEGER, PetName TEXT, Species TEXT, BirthDate TEXT, WeightKg REAL);
CREATE TABLE Vets (VetId INTEGER, Name TEXT, Salary REAL, IsActive INTEGER);
CREATE TABLE Visits (VisitId INTEGER, PetId INTEGER, VetId INTEGER, VisitDate TEXT, Fee REAL);
INSERT INTO Owners VALUES (1, 'Lea Moreau', 'Lyon', 'France', '2019-05-04'),
 (2, 'Paolo Riva', 'Turin', 'Italy', '2020-02-17'),
 (3, 'Chloe Petit', 'Nantes', 'France', '2021-09-30'), (4, 'Karl Maier', 'Linz', 'Austria', '2023-01-08');
INSERT INTO Pets VALUES (1, 1, 'Rex', 'dog', '2015-07-01', 31.5), (2, 1, 'Mimi', 'cat', '2020-03-12', 4.2),
 (3, 2, 'Bruno', 'dog', '2018-11-05', 24),
 (4, 3, 'Coco', 'parrot', '2012-01-20', 0.6), (5, 3, 'Luna', 'cat', '2022-06-09', 3.8);
INSERT INTO Vets VALUES (1, 'Dr Adler', 5200, 1), (2, 'Dr Braun', 4800, 1), (3, 'Dr Conti', 6100, 0);
INSERT INTO Visits VALUES (1, 1, 1, '2022-12-30', 60), (2, 2, 1, '2023-03-14', 45), (3, 3, 2, '2023-03-20', 80),
 (4, 1, 2, '2023-08-02', 120), (5, 4, 1, '2024-01-15', 35), (6, 1, 1, '2024-03-01', 55), (7, 3, 3, '2024-03-28', 90);
"""

QUESTIONS = (
    ("How many vets are active?", "SELECT count(*) FROM Vets WHERE IsActive = 1"),
    ("How many owners are from France?", "SELECT count(*) FROM Owners WHERE Country = 'France'"),
    ("What are the names of French owners?", "SELECT Name FROM Owners WHERE Country = 'France'"),
    ("Which pet is the oldest?", "SELECT PetName FROM Pets ORDER BY BirthDate LIMIT 1"),
    ("What are the names of the three heaviest pets?", "SELECT PetName FROM Pets ORDER BY WeightKg DESC LIMIT 3"),
    ("How many visits were there in March 2023?", "SELECT count(*) FROM Visits WHERE VisitDate LIKE '2023-03%'"),
    ("How many visits took place since June 2023?", "SELECT count(*) FROM Visits WHERE VisitDate >= '2023-06-01'"),
    (
        "How many visits took place in each month of 2023?",
        "SELECT strftime('%Y-%m', VisitDate), count(*) FROM Visits WHERE VisitDate LIKE '2023%' GROUP BY 1",
    ),
    ("What is the total fee per year?", "SELECT strftime('%Y', VisitDate), sum(Fee) FROM Visits GROUP BY 1"),
    ("Which owners joined before 2020?", "SELECT Name FROM Owners WHERE Joined < '2020-01-01'"),
    (
        "Which owners have a cat?",
        "SELECT o.Name FROM Owners o JOIN Pets p ON p.OwnerId = o.OwnerId WHERE Species = 'cat'",
    ),
    (
        "How many pets does each owner have?",
        "SELECT o.Name, count(*) FROM Owners o JOIN Pets p ON p.OwnerId = o.OwnerId GROUP BY o.OwnerId",
    ),
    ("Which owners have no pets?", "SELECT Name FROM Owners WHERE OwnerId NOT IN (SELECT OwnerId FROM Pets)"),
    ("What is the average weight of dogs?", "SELECT avg(WeightKg) FROM Pets WHERE Species = 'dog'"),
    ("What was the most expensive visit fee?", "SELECT max(Fee) FROM Visits"),
    (
        "Which vet had the most visits?",
        "SELECT Name FROM Vets JOIN Visits USING (VetId) GROUP BY VetId ORDER BY count(*) DESC LIMIT 1",
    ),
    (
        "What is the total fee of visits by Rex?",
        "SELECT sum(Fee) FROM Visits JOIN Pets USING (PetId) WHERE PetName = 'Rex'",
    ),
    ("How many pets weigh more than 10 kg?", "SELECT count(*) FROM Pets WHERE WeightKg > 10"),
    ("Who is the best paid vet?", "SELECT Name FROM Vets ORDER BY Salary DESC LIMIT 1"),
    ("How many species are there?", "SELECT count(DISTINCT Species) FROM Pets"),
)
