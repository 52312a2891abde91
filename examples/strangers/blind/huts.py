# ruff: noqa: E501 - schema and queries as they were written
"""Mountain huts, wardens and bookings: names in capitals, keys declared."""

SCRIPT = """
CREATE TABLE Booking(BookingId integer primary key, HikerId integer references Hiker(HikerId), HutId integer references Hut(HutId), ArrivalDate text, DepartureDate text, GuestCount integer, TotalPrice real, Status text);
INSERT INTO Booking VALUES
 (1,10,2,'2024-02-18','2024-02-21',5,479.1,'cancelled'), (2,11,2,'2023-12-29','2023-12-30',2,70.69,'confirmed'),
 (3,11,11,'2023-06-01','2023-06-04',6,603.22,'pending'), (4,2,2,'2023-06-07','2023-06-12',5,913.56,'pending'),
 (5,10,6,'2024-08-03','2024-08-08',3,393.62,'confirmed'), (6,13,11,'2023-02-11','2023-02-14',4,369.71,'pending'),
 (7,13,11,'2024-04-03','2024-04-07',6,634.31,'confirmed'), (8,17,9,'2022-08-12','2022-08-13',4,189.36,'pending'),
 (9,19,12,'2022-08-12','2022-08-14',2,118.98,'pending'), (10,6,11,'2024-02-25','2024-02-26',5,162.65,'confirmed'),
 (11,13,11,'2022-08-31','2022-09-04',4,497.53,'confirmed'),
 (12,17,2,'2024-01-17','2024-01-21',6,883.89,'confirmed'), (13,20,3,'2023-11-01','2023-11-03',4,187.2,'confirmed'),
 (14,3,8,'2023-10-22','2023-10-24',5,280.45,'cancelled'), (15,16,9,'2024-04-27','2024-04-29',2,123.71,'confirmed'),
 (16,4,3,'2022-12-27','2022-12-28',5,154.77,'cancelled'), (17,21,8,'2023-03-04','2023-03-09',6,1323.09,'confirmed'),
 (18,20,3,'2024-08-12','2024-08-14',3,193.6,'confirmed'), (19,20,1,'2022-10-17','2022-10-21',2,241.42,'pending'),
 (20,7,5,'2023-12-15','2023-12-16',6,276.35,'cancelled'), (21,13,6,'2023-08-21','2023-08-23',5,269.5,'pending'),
 (22,5,11,'2022-12-31','2023-01-05',6,1246.84,'confirmed'), (23,2,6,'2023-07-09','2023-07-11',2,99.15,'pending'),
 (24,16,6,'2023-09-17','2023-09-22',6,785.3,'pending'), (25,14,7,'2023-08-27','2023-09-01',4,450.71,'confirmed'),
 (26,19,8,'2023-07-15','2023-07-16',6,205.83,'pending'), (27,2,12,'2023-02-20','2023-02-23',6,480.83,'pending'),
 (28,19,12,'2024-02-28','2024-03-04',1,222.4,'pending'), (29,21,10,'2023-12-24','2023-12-27',2,240.02,'cancelled'),
 (30,11,12,'2022-10-17','2022-10-18',2,70.43,'cancelled'), (31,6,11,'2024-01-27','2024-02-01',2,386.73,'cancelled'),
 (32,14,2,'2024-09-16','2024-09-17',6,142.43,'confirmed'),
 (33,15,11,'2023-07-06','2023-07-08',2,159.28,'cancelled'),
 (34,11,7,'2024-06-06','2024-06-10',1,151.25,'confirmed'), (35,15,3,'2022-11-17','2022-11-21',1,155.05,'confirmed'),
 (36,1,1,'2023-11-17','2023-11-19',5,393.48,'cancelled'), (37,2,6,'2023-04-19','2023-04-22',1,103.53,'cancelled'),
 (38,15,6,'2023-06-14','2023-06-16',1,71.94,'confirmed'), (39,21,6,'2022-10-24','2022-10-26',4,353.68,'confirmed'),
 (40,2,8,'2022-12-12','2022-12-17',2,364.08,'confirmed'), (41,7,6,'2022-07-02','2022-07-05',2,261.24,'confirmed'),
 (42,8,11,'2022-08-15','2022-08-19',3,541.62,'cancelled'), (43,5,12,'2023-08-26','2023-08-28',3,275.81,'confirmed'),
 (44,2,12,'2022-06-14','2022-06-16',6,473.95,'confirmed'), (45,3,6,'2023-08-17','2023-08-19',5,453.85,'confirmed'),
 (46,9,1,'2023-05-04','2023-05-08',1,168.04,'cancelled'), (47,16,8,'2023-07-06','2023-07-08',1,74.39,'cancelled'),
 (48,2,5,'2024-07-21','2024-07-25',2,254.73,'confirmed'), (49,16,9,'2023-04-06','2023-04-10',1,144.31,'pending'),
 (50,16,2,'2024-08-27','2024-09-01',4,774.47,'cancelled'), (51,14,8,'2023-07-02','2023-07-03',1,38.72,'cancelled'),
 (52,16,3,'2022-07-19','2022-07-22',1,108.3,'pending'), (53,12,5,'2024-08-18','2024-08-23',2,320.32,'pending'),
 (54,20,7,'2023-09-25','2023-09-30',1,198.9,'confirmed'), (55,6,6,'2023-02-12','2023-02-14',5,441.02,'confirmed'),
 (56,11,8,'2023-09-03','2023-09-04',2,94.65,'confirmed'), (57,7,2,'2023-10-10','2023-10-13',4,518.94,'cancelled'),
 (58,17,2,'2023-06-19','2023-06-24',4,794.01,'confirmed'), (59,13,9,'2023-11-18','2023-11-20',1,52.97,'confirmed'),
 (60,17,3,'2024-04-29','2024-05-04',3,469.5,'pending');
CREATE TABLE Hiker(HikerId integer primary key, FullName text, Country text, BirthDate text, Email text);
INSERT INTO Hiker VALUES
 (1,'Alice Martin','Norway','1960-07-03','alice.martin@mail.com'),
 (2,'Ben Carter','Ireland','1964-01-27','ben.carter@mail.com'),
 (3,'Chloe Dubois','Germany','1973-07-24','chloe.dubois@mail.com'), (4,'Daniel Weber','Ireland','1963-02-24',NULL),
 (5,'Eva Novak','Ireland','1996-04-14','eva.novak@mail.com'),
 (6,'Felix Braun','Ireland','1975-11-26','felix.braun@mail.com'),
 (7,'Gina Conti','Spain','1970-09-12','gina.conti@mail.com'),
 (8,'Henrik Olsen','Italy','2002-01-18','henrik.olsen@mail.com'),
 (9,'Irene Lopez','Italy','1995-01-01','irene.lopez@mail.com'), (10,'Jack Moore','Italy','1982-11-13',NULL),
 (11,'Katja Winter','Spain','1953-02-25','katja.winter@mail.com'),
 (12,'Liam Byrne','Germany','1953-12-19','liam.byrne@mail.com'),
 (13,'Maria Sanz','Germany','1995-03-30','maria.sanz@mail.com'),
 (14,'Noah Fischer','Italy','1953-01-21','noah.fischer@mail.com'),
 (15,'Olivia King','Germany','1965-04-22','olivia.king@mail.com'), (16,'Paolo Ricci','Germany','1986-10-25',NULL),
 (17,'Quinn Adams','Italy','1972-10-02','quinn.adams@mail.com'),
 (18,'Rosa Bianchi','France','2000-10-15','rosa.bianchi@mail.com'),
 (19,'Stefan Meier','Spain','1971-08-14','stefan.meier@mail.com'),
 (20,'Tina Holm','Spain','2004-07-22','tina.holm@mail.com'),
 (21,'Ursula Keller','Norway','1969-02-23','ursula.keller@mail.com'),
 (22,'Victor Leroy','Ireland','1989-08-19',NULL), (23,'Wendy Park','Germany','1984-06-29','wendy.park@mail.com'),
 (24,'Yann Petit','Norway','1987-02-23','yann.petit@mail.com');
CREATE TABLE Hut(HutId integer primary key, HutName text, Elevation integer, BedCount integer, OpenedYear integer, HasShower integer, WardenId integer references Warden(WardenId));
INSERT INTO Hut VALUES
 (1,'Eagle Nest',2685,44,1919,1,2), (2,'Blue Lake',2290,64,1961,0,4), (3,'Black Peak',1985,24,1917,1,1),
 (4,'Rose Garden',1870,26,1894,0,8), (5,'Glacier View',2545,54,1915,1,NULL), (6,'Marmot Inn',2005,10,1914,0,5),
 (7,'Three Winds',2195,74,1989,1,3), (8,'Cloud House',2875,84,1898,1,8), (9,'Silver Pass',1620,30,1899,0,5),
 (10,'Bear Cave',1445,NULL,1996,0,6), (11,'Snow Gate',3020,84,1960,0,4), (12,'Echo Lodge',2895,50,1933,0,NULL),
 (13,'Larch Cabin',1845,44,2009,0,3), (14,'Ibex Rest',3190,84,1981,1,2);
CREATE TABLE Review(ReviewId integer primary key, BookingId integer references Booking(BookingId), Stars integer, Comment text, WrittenOn text);
INSERT INTO Review VALUES
 (1,30,1,'Lovely view','2024-02-06'), (2,41,3,NULL,'2023-01-09'), (3,34,3,'Cold rooms','2024-06-20'),
 (4,50,3,'Cold rooms','2024-03-04'), (5,42,2,'Too crowded','2023-11-16'), (6,51,1,'Cold rooms','2023-10-11'),
 (7,58,2,'Lovely view','2024-11-30'), (8,4,1,NULL,'2024-08-30'), (9,52,4,'Too crowded','2023-03-15'),
 (10,46,5,'Great food','2024-04-26'), (11,15,1,'Cold rooms','2023-06-15'), (12,47,2,'Lovely view','2023-08-29'),
 (13,19,4,'Lovely view','2024-03-22'), (14,43,5,'Lovely view','2023-08-17'), (15,32,2,NULL,'2024-01-14'),
 (16,28,4,'Great food','2023-10-05'), (17,57,3,'Cold rooms','2024-04-12'), (18,3,5,'Cold rooms','2023-10-21'),
 (19,22,5,'Too crowded','2024-08-05'), (20,27,5,'Lovely view','2024-06-02'), (21,8,2,'Cold rooms','2024-07-30'),
 (22,24,4,'Lovely view','2023-10-06'), (23,14,5,'Too crowded','2023-01-15'), (24,10,3,'Cold rooms','2023-01-05'),
 (25,23,3,NULL,'2023-10-01'), (26,11,5,'Cold rooms','2024-02-12'), (27,55,5,NULL,'2023-02-08'),
 (28,40,3,'Too crowded','2023-12-01'), (29,9,3,NULL,'2024-07-29'), (30,2,5,'Lovely view','2024-10-09'),
 (31,38,5,NULL,'2024-06-07'), (32,26,4,'Great food','2024-10-17');
CREATE TABLE Trail(TrailId integer primary key, TrailName text, StartHutId integer references Hut(HutId), EndHutId integer references Hut(HutId), LengthKm real, Difficulty text);
INSERT INTO Trail VALUES
 (1,'Ridge Walk',3,1,3.1,'moderate'), (2,'Waterfall Path',7,8,14.2,'easy'), (3,'Shepherd Way',1,5,16.8,'easy'),
 (4,'Moraine Loop',1,5,3.3,'hard'), (5,'Iron Ladder',7,11,21.7,'moderate'), (6,'Forest Track',12,6,5.9,'easy'),
 (7,'Summit Route',7,9,14.9,'easy'), (8,'Valley Trail',5,2,9.3,'hard'), (9,'Goat Path',8,5,8.2,'easy'),
 (10,'Old Border Path',1,2,17.7,'easy'), (11,'Panorama Way',4,2,16.2,'hard'), (12,'Mine Road',9,7,3.8,'easy');
CREATE TABLE Warden(WardenId integer primary key, FullName text, BirthDate text, Salary integer, HomeTown text);
INSERT INTO Warden VALUES
 (1,'Peter Nilsen','1980-09-03',28500,'Aosta'), (2,'Marta Kral','1962-07-10',24000,'Aosta'),
 (3,'Oskar Lind','1979-05-22',35000,'Chur'), (4,'Nina Vogt','1959-07-03',31000,'Innsbruck'),
 (5,'Tom Ferrer','1985-07-19',37500,'Innsbruck'), (6,'Lea Brandt','1997-10-23',38000,'Innsbruck'),
 (7,'Ivo Petrov','1972-10-20',32500,'Innsbruck'), (8,'Sara Dahl','1962-10-15',37500,'Innsbruck'),
 (9,'Emil Roth','1979-04-13',40000,'Innsbruck'), (10,'Julia Benz','1979-06-04',40500,'Innsbruck');
"""

QUESTIONS = [
    ("What are the names of all huts with a shower?", "select HutName from Hut where HasShower=1"),
    ("How many hikers come from each country?", "select Country,count(*) from Hiker group by Country"),
    ("Which hut has the most beds?", "select HutName from Hut where BedCount=(select max(BedCount) from Hut)"),
    (
        "Who looks after the Blue Lake hut?",
        "select FullName from Warden w join Hut h on h.WardenId=w.WardenId where HutName='Blue Lake'",
    ),
    ("Which huts have no warden?", "select HutName from Hut where WardenId is null"),
    (
        "Which wardens do not run a hut?",
        "select FullName from Warden where WardenId not in (select WardenId from Hut where WardenId is not null)",
    ),
    (
        "How many bookings were cancelled in 2023?",
        "select count(*) from Booking where Status='cancelled' and ArrivalDate like '2023%'",
    ),
    (
        "Which hikers have never made a booking?",
        "select FullName from Hiker where HikerId not in (select HikerId from Booking)",
    ),
    (
        "Show the five most expensive bookings with the hiker's name and the price.",
        "select FullName,TotalPrice from Booking b join Hiker h on h.HikerId=b.HikerId order by TotalPrice desc limit 5",
    ),
    (
        "What is the average number of stars for each hut?",
        "select HutName,avg(Stars) from Hut h join Booking b on b.HutId=h.HutId join Review r on r.BookingId=b.BookingId group by h.HutId",
    ),
    (
        "How much money did each hut take from confirmed bookings?",
        "select HutName,sum(TotalPrice) from Hut h join Booking b on b.HutId=h.HutId where Status='confirmed' group by h.HutId",
    ),
    (
        "Which wardens earn more than the average salary?",
        "select FullName from Warden where Salary>(select avg(Salary) from Warden)",
    ),
    (
        "What is the longest easy trail?",
        "select TrailName from Trail where Difficulty='easy' and LengthKm=(select max(LengthKm) from Trail where Difficulty='easy')",
    ),
    (
        "List each trail with the names of the huts where it starts and ends.",
        "select TrailName,s.HutName,e.HutName from Trail t join Hut s on s.HutId=t.StartHutId join Hut e on e.HutId=t.EndHutId",
    ),
    ("How many huts were opened before 1950?", "select count(*) from Hut where OpenedYear<1950"),
    (
        "Which hikers from Germany were born after 1980?",
        "select FullName from Hiker where Country='Germany' and BirthDate>='1981-01-01'",
    ),
    (
        "How many bookings were there in each month of 2024?",
        "select strftime('%m',ArrivalDate),count(*) from Booking where ArrivalDate like '2024%' group by 1",
    ),
    (
        "How many nights did each booking last?",
        "select BookingId,julianday(DepartureDate)-julianday(ArrivalDate) from Booking",
    ),
    (
        "Which huts are higher than Silver Pass?",
        "select HutName from Hut where Elevation>(select Elevation from Hut where HutName='Silver Pass')",
    ),
    ("What percentage of bookings were cancelled?", "select 100.0*sum(Status='cancelled')/count(*) from Booking"),
    (
        "Which hikers have stayed in at least 3 different huts?",
        "select FullName from Hiker k join Booking b on b.HikerId=k.HikerId group by k.HikerId having count(distinct HutId)>=3",
    ),
    ("How many reviews have no comment?", "select count(*) from Review where Comment is null"),
    (
        "What is the total length of trails for each difficulty, longest first?",
        "select Difficulty,sum(LengthKm) from Trail group by Difficulty order by 2 desc",
    ),
    ("Which countries have more than 4 hikers?", "select Country from Hiker group by Country having count(*)>4"),
    (
        "Who wrote reviews with only one star?",
        "select distinct FullName from Hiker k join Booking b on b.HikerId=k.HikerId join Review r on r.BookingId=b.BookingId where Stars=1",
    ),
]
