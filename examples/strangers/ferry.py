"""A ferry company: two keys from each sailing to the ports, days as texts, countries, yes and no."""

SCRIPT = """
CREATE TABLE ports (port_id INTEGER PRIMARY KEY, name TEXT, country TEXT, berths INTEGER);
CREATE TABLE ferries (ferry_id INTEGER PRIMARY KEY, name TEXT, built INTEGER, capacity INTEGER, active TEXT);
CREATE TABLE sailings (sailing_id INTEGER PRIMARY KEY, ferry_id INTEGER REFERENCES ferries (ferry_id),
 departure_port INTEGER REFERENCES ports (port_id), arrival_port INTEGER REFERENCES ports (port_id),
 sailed_on DATE, delay_minutes INTEGER);
CREATE TABLE passengers (passenger_id INTEGER PRIMARY KEY, full_name TEXT, nationality TEXT, birth_date DATE);
CREATE TABLE bookings (booking_id INTEGER PRIMARY KEY, passenger_id INTEGER REFERENCES passengers (passenger_id),
 sailing_id INTEGER REFERENCES sailings (sailing_id), price REAL, booked_on DATE);
INSERT INTO ports VALUES (1, 'Oslo', 'Norway', 6), (2, 'Kiel', 'Germany', 9), (3, 'Tallinn', 'Estonia', 7),
 (4, 'Turku', 'Finland', 4), (5, 'Bergen', 'Norway', 5);
INSERT INTO ferries VALUES (1, 'Aurora', 1998, 1200, 'yes'), (2, 'Borealis', 2011, 900, 'yes'),
 (3, 'Comet', 1987, 450, 'no'), (4, 'Dawn', 2019, 2000, 'yes');
INSERT INTO sailings VALUES (1, 1, 1, 2, '2023-02-11', 0), (2, 2, 2, 1, '2023-04-19', 25),
 (3, 2, 3, 4, '2023-05-30', 5),
 (4, 2, 4, 3, '2023-11-02', 0), (5, 4, 1, 2, '2024-05-03', 40), (6, 4, 2, 5, '2024-05-03', 10),
 (7, 2, 3, 2, '2024-06-15', 0), (8, 1, 5, 2, '2024-07-01', 15);
INSERT INTO passengers VALUES (1, 'Jonas Berg', 'Norway', '1961-03-09'), (2, 'Anke Vogt', 'Germany', '1987-12-24'),
 (3, 'Mart Tamm', 'Estonia', '2001-08-17'), (4, 'Aino Laine', 'Finland', '1974-06-30'),
 (5, 'Uwe Kranz', 'Germany', '1955-01-12');
INSERT INTO bookings VALUES (1, 1, 1, 120, '2023-01-20'), (2, 2, 1, 95, '2023-02-01'), (3, 3, 3, 60, '2023-05-02'),
 (4, 2, 5, 140, '2024-03-15'), (5, 5, 5, 155, '2024-04-04'), (6, 1, 8, 80, '2024-06-20'), (7, 2, 7, 70, '2024-06-01');
"""

QUESTIONS = (
    ("How many ferries are active?", "SELECT count(*) FROM ferries WHERE active = 'yes'"),
    ("Which ferry is the oldest?", "SELECT name FROM ferries ORDER BY built LIMIT 1"),
    (
        "What are the names of the two largest ferries by capacity?",
        "SELECT name FROM ferries ORDER BY capacity DESC LIMIT 2",
    ),
    ("List the names of German passengers.", "SELECT full_name FROM passengers WHERE nationality = 'Germany'"),
    ("Who is the youngest passenger?", "SELECT full_name FROM passengers ORDER BY birth_date DESC LIMIT 1"),
    (
        "How many sailings have Kiel as their arrival port?",
        "SELECT count(*) FROM sailings s JOIN ports p ON p.port_id = s.arrival_port WHERE p.name = 'Kiel'",
    ),
    (
        "How many sailings have Oslo as their departure port?",
        "SELECT count(*) FROM sailings s JOIN ports p ON p.port_id = s.departure_port WHERE p.name = 'Oslo'",
    ),
    ("How many sailings took place on 3 May 2024?", "SELECT count(*) FROM sailings WHERE sailed_on = '2024-05-03'"),
    (
        "How many bookings were made between February and May 2023?",
        "SELECT count(*) FROM bookings WHERE booked_on >= '2023-02-01' AND booked_on < '2023-06-01'",
    ),
    (
        "How many sailings were there per year?",
        "SELECT strftime('%Y', sailed_on), count(*) FROM sailings GROUP BY strftime('%Y', sailed_on)",
    ),
    (
        "What is the average price of bookings before 2024?",
        "SELECT avg(price) FROM bookings WHERE booked_on < '2024-01-01'",
    ),
    ("Which ports are in Norway?", "SELECT name FROM ports WHERE country = 'Norway'"),
    (
        "How many bookings does each passenger have?",
        "SELECT full_name, count(*) FROM bookings JOIN passengers USING (passenger_id) GROUP BY passenger_id",
    ),
    (
        "Which passengers have no bookings?",
        "SELECT full_name FROM passengers WHERE passenger_id NOT IN (SELECT passenger_id FROM bookings)",
    ),
    (
        "Which ferry has made the most sailings?",
        "SELECT name FROM sailings JOIN ferries USING (ferry_id) GROUP BY ferry_id ORDER BY count(*) DESC LIMIT 1",
    ),
    ("What is the cheapest booking price?", "SELECT min(price) FROM bookings"),
    ("List the names of ferries built after 2000.", "SELECT name FROM ferries WHERE built > 2000"),
    (
        "What is the total price paid by Anke Vogt?",
        "SELECT sum(price) FROM bookings JOIN passengers USING (passenger_id) WHERE full_name = 'Anke Vogt'",
    ),
    (
        "How many sailings had a delay of more than 10 minutes?",
        "SELECT count(*) FROM sailings WHERE delay_minutes > 10",
    ),
    ("What is the date of the most recent sailing?", "SELECT max(sailed_on) FROM sailings"),
)
