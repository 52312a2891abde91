"""A factory's database of sixty tables, most of which no question is about: twelve with keys, and 48 logs."""

_PLANTS = ("Halden", "Moss", "Skien", "Larvik", "Drammen", "Arendal")
_LOGS = "".join(
    f"CREATE TABLE log_{area}_{week:02} (entry INTEGER PRIMARY KEY, noted TEXT, reading REAL);\n"
    for area in ("boiler", "paint", "press", "yard")
    for week in range(1, 13)
)
SCRIPT = (
    """
CREATE TABLE plant (plant_id INTEGER PRIMARY KEY, plant_name TEXT, opened INTEGER);
CREATE TABLE department (department_id INTEGER PRIMARY KEY, title TEXT, plant_id INTEGER REFERENCES plant (plant_id));
CREATE TABLE worker (worker_id INTEGER PRIMARY KEY, name TEXT, wage REAL, age INTEGER,
 department_id INTEGER REFERENCES department (department_id));
CREATE TABLE machine (machine_id INTEGER PRIMARY KEY, model TEXT, power INTEGER,
 plant_id INTEGER REFERENCES plant (plant_id));
CREATE TABLE repair (repair_id INTEGER PRIMARY KEY, machine_id INTEGER REFERENCES machine (machine_id), done_on TEXT,
 cost REAL);
CREATE TABLE supplier (supplier_id INTEGER PRIMARY KEY, supplier_name TEXT, country TEXT);
CREATE TABLE material (material_id INTEGER PRIMARY KEY, material_name TEXT, stock INTEGER,
 supplier_id INTEGER REFERENCES supplier (supplier_id));
CREATE TABLE training (training_id INTEGER PRIMARY KEY, topic TEXT, hours INTEGER);
CREATE TABLE attendance (worker_id INTEGER REFERENCES worker (worker_id),
 training_id INTEGER REFERENCES training (training_id));
CREATE TABLE accident (accident_id INTEGER PRIMARY KEY, worker_id INTEGER REFERENCES worker (worker_id), severity TEXT);
CREATE TABLE canteen (meal_id INTEGER PRIMARY KEY, meal TEXT, price REAL);
CREATE TABLE bus (bus_id INTEGER PRIMARY KEY, line TEXT, seats INTEGER);
"""
    + _LOGS
    + "".join(f"INSERT INTO plant VALUES ({n}, '{name}', {1950 + 9 * n});\n" for n, name in enumerate(_PLANTS, 1))
    + """
INSERT INTO department VALUES (1, 'Welding', 1), (2, 'Painting', 1), (3, 'Packing', 2), (4, 'Research', 3);
INSERT INTO worker VALUES (1, 'Tor', 310, 44, 1), (2, 'Eva', 420, 31, 1), (3, 'Ian', 280, 58, 2),
 (4, 'Lis', 500, 39, 4),
 (5, 'Kai', 330, 27, 3), (6, 'Nia', 300, 51, 3);
INSERT INTO machine VALUES (1, 'MX 5', 90, 1), (2, 'MX 7', 120, 2), (3, 'Titan', 300, 2), (4, 'Robur', 75, 3);
INSERT INTO repair VALUES (1, 1, '2023-08-14', 120), (2, 3, '2024-01-09', 900), (3, 3, '2024-01-30', 450),
 (4, 2, '2024-02-02', 60);
INSERT INTO supplier VALUES (1, 'Nordstahl', 'Germany'), (2, 'Ferrum', 'Italy'), (3, 'Lakk', 'Norway');
INSERT INTO material VALUES (1, 'steel', 400, 1), (2, 'copper', 55, 2), (3, 'varnish', 80, 3), (4, 'zinc', 20, 1);
INSERT INTO training VALUES (1, 'first aid', 6), (2, 'lifting', 2), (3, 'fire safety', 4);
INSERT INTO attendance VALUES (1, 1), (1, 3), (2, 1), (4, 2);
INSERT INTO accident VALUES (1, 3, 'minor'), (2, 3, 'severe'), (3, 5, 'minor');
INSERT INTO canteen VALUES (1, 'soup', 45), (2, 'fish', 89), (3, 'salad', 60);
INSERT INTO bus VALUES (1, 'north', 40), (2, 'harbour', 28);
"""
)

QUESTIONS = (
    ("How many workers are there?", "SELECT count(*) FROM worker"),
    ("What is the average wage of workers?", "SELECT avg(wage) FROM worker"),
    ("Who is the oldest worker?", "SELECT name FROM worker ORDER BY age DESC LIMIT 1"),
    ("List the names of workers older than 40.", "SELECT name FROM worker WHERE age > 40"),
    (
        "How many workers does each department have?",
        "SELECT title, count(*) FROM worker JOIN department USING (department_id) GROUP BY department_id",
    ),
    ("Which plant opened first?", "SELECT plant_name FROM plant ORDER BY opened LIMIT 1"),
    (
        "What are the models of machines in the plant Moss?",
        "SELECT model FROM machine JOIN plant USING (plant_id) WHERE plant_name = 'Moss'",
    ),
    ("What is the power of the machine Titan?", "SELECT power FROM machine WHERE model = 'Titan'"),
    ("What is the total cost of all repairs?", "SELECT sum(cost) FROM repair"),
    ("How many repairs were done in January 2024?", "SELECT count(*) FROM repair WHERE done_on LIKE '2024-01%'"),
    (
        "Which machine model had the most repairs?",
        "SELECT model FROM repair JOIN machine USING (machine_id) GROUP BY machine_id ORDER BY count(*) DESC LIMIT 1",
    ),
    (
        "Which machine models were never repaired?",
        "SELECT model FROM machine WHERE machine_id NOT IN (SELECT machine_id FROM repair)",
    ),
    ("Which suppliers come from Italy?", "SELECT supplier_name FROM supplier WHERE country = 'Italy'"),
    (
        "What materials does Nordstahl supply?",
        "SELECT material_name FROM material JOIN supplier USING (supplier_id) WHERE supplier_name = 'Nordstahl'",
    ),
    ("Which material has the lowest stock?", "SELECT material_name FROM material ORDER BY stock LIMIT 1"),
    ("What is the longest training in hours?", "SELECT max(hours) FROM training"),
    (
        "Which workers attended the training first aid?",
        "SELECT name FROM worker JOIN attendance USING (worker_id) JOIN training USING (training_id) "
        "WHERE topic = 'first aid'",
    ),
    (
        "How many severe accidents were there?",
        "SELECT count(*) FROM accident WHERE severity = 'severe'",
    ),
    (
        "What are the names of workers who had an accident?",
        "SELECT DISTINCT name FROM worker JOIN accident USING (worker_id)",
    ),
    ("Show the meals sorted by price from high to low.", "SELECT meal FROM canteen ORDER BY price DESC"),
)
