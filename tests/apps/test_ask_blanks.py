"""Cells without a value do not decide an answer that is not about them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from normlab.apps.ask.blanks import without_blanks
from normlab.apps.ask.database import Database

BLANK = {("customer", "birth"), ("orders", "customer_id"), ('"order"', "due")}


@pytest.mark.parametrize(
    ("sql", "written", "column"),
    [
        (
            "SELECT name FROM customer WHERE id NOT IN (SELECT customer_id FROM orders)",
            "SELECT name FROM customer WHERE id NOT IN (SELECT customer_id FROM orders WHERE customer_id IS NOT NULL)",
            "customer_id",
        ),
        (
            "SELECT name FROM customer ORDER BY birth ASC LIMIT 1",
            "SELECT name FROM customer WHERE birth IS NOT NULL ORDER BY birth ASC LIMIT 1",
            "birth",
        ),
        (
            "SELECT name FROM customer WHERE town = 'A' OR town = 'B' ORDER BY birth ASC LIMIT 3",
            "SELECT name FROM customer WHERE (town = 'A' OR town = 'B') AND birth IS NOT NULL "
            "ORDER BY birth ASC LIMIT 3",
            "birth",
        ),
        (
            'SELECT T2.name FROM "order" AS T1 JOIN customer AS T2 ON T1.customer_id = T2.id '
            "ORDER BY T1.due ASC LIMIT 1",
            'SELECT T2.name FROM "order" AS T1 JOIN customer AS T2 ON T1.customer_id = T2.id WHERE T1.due IS NOT NULL '
            "ORDER BY T1.due ASC LIMIT 1",
            "due",
        ),
    ],
)
def test_blank_cells_are_left_out(sql: str, written: str, column: str) -> None:
    assert without_blanks(sql, lambda *place: place in BLANK) == (written, column)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM customer ORDER BY birth ASC",  # a whole list has the blanks, too
        "SELECT name FROM customer ORDER BY birth DESC LIMIT 1",  # they come last
        "SELECT name FROM customer ORDER BY town ASC LIMIT 1",
        "SELECT name FROM customer WHERE id NOT IN (SELECT id FROM orders)",
        "SELECT name FROM customer WHERE id IN (SELECT customer_id FROM orders)",
        "SELECT birth FROM customer GROUP BY birth ORDER BY birth ASC LIMIT 1",
        "SELECT name FROM customer WHERE id = (SELECT max(id) FROM customer) ORDER BY birth ASC LIMIT 1",
        "SELECT name FROM customer , orders ORDER BY birth ASC LIMIT 1",
        "no query at all",
    ],
)
def test_other_queries_stay(sql: str) -> None:
    assert without_blanks(sql, lambda *place: place in BLANK) == (sql, "")


def test_who_has_no_orders_is_found_beside_an_order_of_nobody(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, birth_date TEXT);"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (id), total REAL);"
            "INSERT INTO customer VALUES (1, 'Ann', '1980-01-02'), (2, 'Bo', NULL), (3, 'Cy', '1990-03-04');"
            "INSERT INTO orders VALUES (1, 1, 5), (2, 2, 7), (3, NULL, 9);"
        )
    with Database(path, "spider-sql") as database:
        answer = database.question("Which customers have no orders?")
        oldest = database.question("Who is the oldest customer?")
    assert answer.rows == [("Cy",)]
    assert "rows without customer_id are left out" in answer.notes
    assert oldest.rows == [("Ann",)]
