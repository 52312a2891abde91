"""Questions about days in columns that hold no ISO dates: the rows are right, or the answer says why there is none."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from text2sql_corrected import corrections_over

from normlab.data.sql.sqlite import run_query
from normlab.tasks.text2sql.corrections.correcting import Correction

TODAY = datetime.date(2019, 1, 15)
SCRIPT = """
CREATE TABLE client (id INTEGER PRIMARY KEY, name TEXT, city TEXT, registered TEXT);
CREATE TABLE rental (id INTEGER PRIMARY KEY, client_id INTEGER REFERENCES client (id), car TEXT, price REAL,
 picked_up TEXT);
CREATE TABLE repair (id INTEGER PRIMARY KEY, garage TEXT, cost REAL, repair_date INTEGER);
CREATE TABLE login (id INTEGER PRIMARY KEY, client_id INTEGER REFERENCES client (id), created_at INTEGER);
CREATE TABLE invoice (id INTEGER PRIMARY KEY, total REAL, invoice_date TEXT);
CREATE TABLE fine (id INTEGER PRIMARY KEY, amount REAL, fine_date TEXT);
INSERT INTO client VALUES (1, 'Ann', 'Oslo', '15.03.2018'), (2, 'Bo', 'Rome', '01.04.2017'),
 (3, 'Cy', 'Oslo', '20.12.2019');
INSERT INTO rental VALUES (1, 1, 'Golf', 50, '03/15/2018'), (2, 1, 'Polo', 40, '04/01/2017'),
 (3, 2, 'Golf', 60, '12/24/2019'), (4, 3, 'Up', 30, '11/30/2018');
INSERT INTO repair VALUES (1, 'A', 100, 20180315), (2, 'B', 200, 20170401), (3, 'A', 300, 20191220);
INSERT INTO login VALUES (1, 1, 1521072000), (2, 2, 1546300800), (3, 2, 1577000000);
INSERT INTO invoice VALUES (1, 10, '3/15/18'), (2, 20, '2018-04-05'), (3, 30, 'Mar 5, 2019');
INSERT INTO fine VALUES (1, 10, '03/04/2018'), (2, 20, '11/12/2017'), (3, 30, '05/06/2018');
"""
Ask = Callable[[str, str], tuple[Correction, list[object]]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """What becomes of a question and the model's query, and the first column of the rows."""
    path = tmp_path / "hire.sqlite"
    corrected = corrections_over(path, SCRIPT, TODAY)

    def correct(question: str, sql: str) -> tuple[Correction, list[object]]:
        done = corrected(question, sql)
        return done, [row[0] for row in run_query(path, done.sql).rows]

    return correct


JOINED = "client AS T1 JOIN rental AS T2 ON T1.id = T2.client_id"


@pytest.mark.parametrize(
    ("question", "wrote", "rows"),
    [
        ("How many rentals were picked up in 2018?", "SELECT count(*) FROM rental WHERE price = 2018", [2]),
        ("How many rentals after March 2018?", "SELECT count(*) FROM rental WHERE car = 'March'", [2]),
        ("Rentals on 15 March 2018", "SELECT id FROM rental WHERE picked_up = '2018-03-15'", [1]),
        ("Rentals on 3/15/2018", "SELECT id FROM rental WHERE picked_up = '3/15/2018'", [1]),
        ("Rentals before 04/03/2018", "SELECT id FROM rental WHERE price < 4", [1, 2]),
        ("Rentals of the last 3 months", "SELECT id FROM rental", [4]),
        (
            "Golf rentals since 2018",
            "SELECT id FROM rental WHERE car = 'Golf' AND picked_up LIKE '%2018%'",
            [1, 3],
        ),
        ("Which clients registered after 2018?", "SELECT name FROM client WHERE registered > 2018", ["Cy"]),
        (
            "Which clients from Oslo registered in March?",
            "SELECT name FROM client WHERE city = 'Oslo' AND registered = 'March'",
            ["Ann"],
        ),
        ("Clients registered after 01.04.2017", "SELECT name FROM client WHERE registered > 01.04", ["Ann", "Cy"]),
        ("Total cost of repairs in 2018", "SELECT sum(cost) FROM repair WHERE repair_date = 2018", [100]),
        ("Repairs before 2018/03/15", "SELECT id FROM repair WHERE cost < 2018", [2]),
        ("How many logins in January 2019?", "SELECT count(*) FROM login WHERE created_at = 'January'", [1]),
        (
            "Clients with logins in 2018",  # registered is a date too, but not what is compared
            "SELECT T1.name FROM client AS T1 JOIN login AS T2 ON T1.id = T2.client_id WHERE T2.created_at = 2018",
            ["Ann"],
        ),
        ("Total of fines in 2018", "SELECT sum(amount) FROM fine WHERE fine_date = 2018", [40]),
    ],
)
def test_a_period_keeps_its_rows_whatever_the_form(ask: Ask, question: str, wrote: str, rows: list[object]) -> None:
    done, found = ask(question, wrote)
    assert done.dated
    assert not done.doubt
    assert found == rows
    assert "by a rule for dates over" in " ".join(done.notes)


@pytest.mark.parametrize(
    ("question", "wrote", "rows"),
    [
        ("What is the most recent rental?", "SELECT car FROM rental ORDER BY picked_up DESC LIMIT 1", ["Golf"]),
        ("Who registered most recently?", "SELECT registered FROM client ORDER BY city DESC LIMIT 1", ["Cy"]),
        ("What is the date of the last rental?", "SELECT max(picked_up) FROM rental", ["2019-12-24"]),
        (
            "List the cars sorted by pick up date",
            "SELECT car FROM rental ORDER BY picked_up ASC",
            ["Polo", "Golf", "Up", "Golf"],
        ),
        (
            "Which client has the most recent rental?",
            f"SELECT T1.name FROM {JOINED} ORDER BY T2.picked_up DESC LIMIT 1",
            ["Bo"],
        ),
        ("How many rentals per year?", "SELECT count(*) FROM rental", ["2017", "2018", "2019"]),
        ("Number of logins per month", "SELECT count(*) FROM login", ["2018-03", "2019-01", "2019-12"]),
        (
            "Cars of rentals after 2018-05-01 or cheaper than 45",
            "SELECT car FROM rental WHERE picked_up > '2018-05-01' OR price < 45",
            ["Polo", "Golf", "Up"],
        ),
        (
            "Clients with rentals later than 03/15/2018",
            f"SELECT DISTINCT T1.name FROM {JOINED} WHERE T2.picked_up > '03/15/2018'",
            ["Bo", "Cy"],
        ),
    ],
)
def test_dates_are_sorted_grouped_and_compared_by_their_days(
    ask: Ask, question: str, wrote: str, rows: list[object]
) -> None:
    done, found = ask(question, wrote)
    assert not done.doubt
    assert found == rows
    assert "by rules about" in done.notes[0]


@pytest.mark.parametrize(
    ("question", "wrote", "why"),
    [
        ("Total of invoices in 2018", "SELECT sum(total) FROM invoice WHERE invoice_date = 2018", "'3/15/18'"),
        ("Total of the newest invoice", "SELECT total FROM invoice ORDER BY invoice_date DESC LIMIT 1", "'3/15/18'"),
        ("Fines after March 2018", "SELECT id FROM fine WHERE fine_date = 'March'", "day or month stands first"),
        ("The first fine", "SELECT min(fine_date) FROM fine", "day or month stands first"),
        (
            "Names of clients without a rental after 2018",
            "SELECT name FROM client WHERE id NOT IN (SELECT client_id FROM rental WHERE picked_up > '2018-12-31')",
            "MM/DD/YYYY",
        ),
    ],
)
def test_where_days_cannot_be_compared_the_answer_says_why(ask: Ask, question: str, wrote: str, why: str) -> None:
    done, _ = ask(question, wrote)
    assert why in done.doubt
    assert "\n" not in done.doubt
    assert not done.dated


@pytest.mark.parametrize(
    ("question", "wrote"),
    [
        ("What is the date of invoice 1?", "SELECT invoice_date FROM invoice WHERE id = 1"),
        ("Fines of 03/04/2018", "SELECT id FROM fine WHERE fine_date = '03/04/2018'"),
        ("How many invoices are there?", "SELECT count(*) FROM invoice"),
        ("What is the most recent repair?", "SELECT garage FROM repair ORDER BY repair_date DESC LIMIT 1"),
    ],
)
def test_what_compares_no_days_or_sorts_them_rightly_stays(ask: Ask, question: str, wrote: str) -> None:
    done, _ = ask(question, wrote)
    assert not done.doubt
    assert done.sql == wrote
