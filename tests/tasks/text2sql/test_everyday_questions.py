"""Questions as people ask them about an office, and the query that the rules make of the model's reading."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from normlab.apps.ask.database import Database

EMPLOYEES = (
    (1, "Ann", "Smith", "2012-03-01", 50000, "Engineer", 2, "F", "1980-05-01"),
    (2, "Ben", "Jones", "2015-06-01", 70000, "Manager", 1, "M", "1975-02-01"),
    (3, "Cid", "Brown", "2019-01-15", 90000, "Clerk", 2, "M", "1990-11-20"),
    (4, "Dora", "Smith", "2021-09-01", 60000, "Manager", 3, "F", "1985-07-07"),
    (5, "Eva", "Miller", "2023-02-01", 40000, "Clerk", 2, "F", "1999-01-30"),
    (6, "Fay", "Wood", "2016-02-01", 55000, "Clerk", 2, "F", "1978-01-30"),
)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("office") / "office.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE department (dept_id INTEGER PRIMARY KEY, dept_name TEXT, location TEXT, budget REAL);"
            "INSERT INTO department VALUES (1, 'Sales', 'London', 500000), (2, 'Engineering', 'Berlin', 900000),"
            " (3, 'HR', 'London', 120000);"
            "CREATE TABLE employee (emp_id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, hire_date TEXT,"
            " salary REAL, job_title TEXT, dept_id INTEGER REFERENCES department (dept_id), gender TEXT,"
            " birth_date TEXT);"
            "CREATE TABLE project (proj_id INTEGER PRIMARY KEY, title TEXT, start_date TEXT, end_date TEXT,"
            " dept_id INTEGER REFERENCES department (dept_id));"
            "INSERT INTO project VALUES (1, 'Apollo', '2021-03-01', NULL, 1),"
            " (2, 'Zeus', '2022-03-01', '2023-06-30', 2);"
        )
        connection.executemany("INSERT INTO employee VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", EMPLOYEES)
        connection.commit()
    with Database(path, "spider-sql", min_confidence=0.0) as database:
        yield database


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        # the column that holds a cell as it is said, and letters for men and women
        ("How many employees work in Engineering?", [(4,)]),
        ("How many women work in the Engineering department?", [(3,)]),
        ("Which female employees earn more than 50000?", [("Dora", "Smith"), ("Fay", "Wood")]),
        # a number for each of two
        ("How many men and women work in Engineering?", [("F", 3), ("M", 1)]),
        ("How many engineers and clerks are there?", [("Clerk", 3), ("Engineer", 1)]),
        # names
        ("Who earns the most?", [("Cid", "Brown")]),
        ("Who was born before 1977?", [("Ben", "Jones")]),
        ("Show the names of the two best paid employees.", [("Cid", "Brown"), ("Ben", "Jones")]),
        ("Which employees earn more than the average salary?", [("Ben", "Jones"), ("Cid", "Brown")]),
        ("Who works in Berlin?", [("Ann", "Smith"), ("Cid", "Brown"), ("Eva", "Miller"), ("Fay", "Wood")]),
        ("Show all managers in London.", [("Ben", "Jones"), ("Dora", "Smith")]),
        ("Which departments have more than 3 employees?", [("Engineering",)]),
        ("List the projects and their departments.", [("Apollo", "Sales"), ("Zeus", "Engineering")]),
        # the most and the least
        ("Which department has the highest average salary?", [("Sales",)]),
        ("Which job title has the highest average salary?", [("Manager",)]),
        ("Show the employees of the department with the lowest budget.", [("Dora", "Smith")]),
        (
            "Which employees work in the department with the most employees?",
            [("Ann", "Smith"), ("Cid", "Brown"), ("Eva", "Miller"), ("Fay", "Wood")],
        ),
        # another row
        (
            "Which employees earn more than Ann Smith?",
            [("Ben", "Jones"), ("Cid", "Brown"), ("Dora", "Smith"), ("Fay", "Wood")],
        ),
        ("Which employees are older than Ann Smith?", [("Ben", "Jones"), ("Fay", "Wood")]),
        ("Which employees were hired before Ben Jones?", [("Ann", "Smith")]),
        ("How many employees earn less than Dora Smith?", [(3,)]),
        ("Which departments have a higher budget than Sales?", [("Engineering",)]),
    ],
)
def test_the_answer_is_what_was_asked_for(office: Database, question: str, rows: list[tuple[object, ...]]) -> None:
    answer = office.question(question)
    assert sorted(answer.rows, key=repr) == sorted(rows, key=repr), answer.sql


@pytest.fixture(scope="module")
def cinema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("cinema") / "cinema.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE directors (id INTEGER PRIMARY KEY, name TEXT, country TEXT);"
            "INSERT INTO directors VALUES (1, 'Nora Lind', 'Sweden'), (2, 'Paul Reyes', 'Mexico');"
            "CREATE TABLE movies (id INTEGER PRIMARY KEY, title TEXT, year INTEGER, genre TEXT, runtime INTEGER,"
            " rating REAL, box_office REAL, director_id INTEGER REFERENCES directors (id));"
            "INSERT INTO movies VALUES (1, 'Red River', 1994, 'Drama', 180, 9.1, 2e6, 1),"
            " (2, 'Blue Sky', 2012, 'Comedy', 95, 7.5, 9e6, 1), (3, 'Night Train', 1999, 'Drama', 120, 8.2, 5e6, 2);"
            "CREATE TABLE awards (id INTEGER PRIMARY KEY, movie_id INTEGER REFERENCES movies (id), award TEXT,"
            " won TEXT);"
            "INSERT INTO awards VALUES (1, 1, 'Oscar', 'yes'), (2, 2, 'Globe', 'no'), (3, 3, 'Oscar', 'yes');"
        )
    with Database(path, "spider-sql", min_confidence=0.0) as database:
        yield database


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("What is the highest rated movie?", [("Red River",)]),
        ("Which movie earned the most?", [("Blue Sky",)]),
        ("Which director has the best average rating?", [("Nora Lind",)]),
        ("What are the two longest movies?", [("Red River",), ("Night Train",)]),
        ("Which movies are longer than 100 minutes?", [("Red River",), ("Night Train",)]),
        ("Who directed Blue Sky?", [("Nora Lind",)]),
        ("Which movies have won no award?", [("Blue Sky",)]),
        ("Which movies were released in the 1990s?", [("Red River",), ("Night Train",)]),
    ],
)
def test_questions_about_a_cinema(cinema: Database, question: str, rows: list[tuple[object, ...]]) -> None:
    answer = cinema.question(question)
    assert sorted(answer.rows, key=repr) == sorted(rows, key=repr), answer.sql


@pytest.fixture(scope="module")
def surgery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("surgery") / "surgery.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE Patients (PatientID INTEGER PRIMARY KEY, FullName TEXT, DateOfBirth TEXT, City TEXT);"
            "INSERT INTO Patients VALUES (1, 'Ola Berg', '1990-01-15', 'Oslo'), (2, 'Ian Frost', '1950-02-15', 'Oslo'),"
            " (3, 'Mona Lund', '1980-03-15', 'Lund');"
            "CREATE TABLE Doctors (DoctorID INTEGER PRIMARY KEY, FullName TEXT, Specialty TEXT);"
            "INSERT INTO Doctors VALUES (1, 'Dr Ray', 'Cardiology'), (2, 'Dr Lee', 'Neurology');"
            "CREATE TABLE Appointments (AppointmentID INTEGER PRIMARY KEY,"
            " PatientID INTEGER REFERENCES Patients (PatientID), DoctorID INTEGER REFERENCES Doctors (DoctorID),"
            " AppointmentDate TEXT, Fee REAL, DurationMinutes INTEGER);"
            "INSERT INTO Appointments VALUES (1, 1, 1, '2023-01-01', 90, 30), (2, 2, 2, '2024-05-01', 60, 15),"
            " (3, 3, 2, '2022-05-01', 60, 45);"
        )
    with Database(path, "spider-sql", min_confidence=0.0) as database:
        yield database


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("Which patient had the last appointment?", [("Ian Frost",)]),
        ("Which patients live in the same city as Ola Berg?", [("Ian Frost",)]),
        ("What is the average duration of appointments by doctor?", [("Dr Ray", 30.0), ("Dr Lee", 30.0)]),
        ("Which doctor earned the most in fees?", [("Dr Lee",)]),
        ("What is the longest appointment?", [("2022-05-01",)]),
    ],
)
def test_questions_about_a_surgery(surgery: Database, question: str, rows: list[tuple[object, ...]]) -> None:
    answer = surgery.question(question)
    assert sorted(answer.rows, key=repr) == sorted(rows, key=repr), answer.sql


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("store") / "store.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, city TEXT);"
            "INSERT INTO customers VALUES (1, 'Ann', 'Berg', 'Oslo'), (2, 'Bo', 'Vega', 'Rome');"
            "CREATE TABLE categories (category_id INTEGER PRIMARY KEY, category_name TEXT);"
            "INSERT INTO categories VALUES (1, 'Books'), (2, 'Toys');"
            "CREATE TABLE products (product_id INTEGER PRIMARY KEY, product_name TEXT,"
            " category_id INTEGER REFERENCES categories (category_id), unit_price REAL, stock INTEGER);"
            "INSERT INTO products VALUES (1, 'Atlas', 1, 40, 0), (2, 'Novel', 1, 15, 7), (3, 'Robot', 2, 60, 3),"
            " (4, 'Kite', 2, 20, 0);"
            "CREATE TABLE orders (order_id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customers (customer_id),"
            " order_date TEXT, shipped_date TEXT);"
            "INSERT INTO orders VALUES (1, 1, '2024-03-01', '2024-06-01'), (2, 1, '2024-03-15', NULL),"
            " (3, 2, '2024-05-01', '2024-05-02');"
            "CREATE TABLE order_items (order_id INTEGER REFERENCES orders (order_id),"
            " product_id INTEGER REFERENCES products (product_id), quantity INTEGER);"
            "INSERT INTO order_items VALUES (1, 3, 1), (2, 2, 5), (3, 4, 2);"
            "CREATE TABLE reviews (review_id INTEGER PRIMARY KEY, product_id INTEGER REFERENCES products (product_id),"
            " customer_id INTEGER REFERENCES customers (customer_id), rating INTEGER);"
        )
    with Database(path, "spider-sql", min_confidence=0.0) as database:
        yield database


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("What is the cheapest toy?", [("Kite",)]),
        ("List all books cheaper than 30.", [("Novel",)]),
        ("Which month had the most orders?", [("2024-03",)]),
        ("What is the latest order?", [("2024-05-01",)]),
        ("Which customers ordered a Robot?", [("Ann", "Berg")]),
        ("Which customers have not placed an order since April 2024?", [("Ann", "Berg")]),
        ("Which customers had no orders in March 2024?", [("Bo", "Vega")]),
        ("How many customers had no orders in 2023?", [(2,)]),
        ("Which products are out of stock?", [("Atlas",), ("Kite",)]),
        ("How many products are in stock?", [(2,)]),
        ("Which products have less than 5 in stock?", [("Atlas",), ("Robot",), ("Kite",)]),
        ("What is the best selling product?", [("Novel",)]),
        ("Which product sold the least?", [("Robot",)]),
        ("How many units of Kite were sold?", [(2,)]),
    ],
)
def test_questions_about_a_store(store: Database, question: str, rows: list[tuple[object, ...]]) -> None:
    answer = store.question(question)
    assert sorted(answer.rows, key=repr) == sorted(rows, key=repr), answer.sql
