"""Rows without a value in a column, and rows with one: the model has no IS NULL, a rule writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from normlab.apps.ask.database import Database


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("store") / "store.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, email TEXT, phone TEXT, city TEXT);"
            "INSERT INTO customer VALUES (1, 'Ann', 'a@x.org', NULL, 'Oslo'), (2, 'Bob', '', '555-1', 'Rome'),"
            " (3, 'Cid', NULL, '555-2', 'Oslo'), (4, 'Tom', 't@x.org', '555-3', NULL);"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (id), total REAL,"
            " order_date TEXT, shipped_date TEXT);"
            "INSERT INTO orders VALUES (1, 1, 50, '2024-01-05', '2024-01-07'), (2, 2, 20, '2024-02-05', NULL),"
            " (3, 1, 10, '2024-02-07', NULL), (4, 4, 99, '2023-02-07', '2023-03-01');"
        )
    with Database(path, "spider-sql") as database:
        yield database


NO_EMAIL = "SELECT name FROM customer WHERE coalesce(email, '') = ''"
NO_PHONE = "SELECT name FROM customer WHERE coalesce(phone, '') = ''"
NOT_SHIPPED = "FROM orders WHERE coalesce(shipped_date, '') = ''"


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        ("Which customers have no e-mail?", NO_EMAIL),
        ("List the customers without an email address.", NO_EMAIL),
        ("Show the names of customers whose email is missing.", NO_EMAIL),
        ("Which customers lack an email address?", NO_EMAIL),
        ("Who has no email?", NO_EMAIL),
        ("Which customers don't have a phone number yet?", NO_PHONE),
        ("Which customers have a missing phone number?", NO_PHONE),
        ("Customers without phone", NO_PHONE),
        ("How many customers have no phone?", "SELECT count(*) FROM customer WHERE coalesce(phone, '') = ''"),
        ("Show the city of customers with no phone", "SELECT city FROM customer WHERE coalesce(phone, '') = ''"),
        ("Which customers have an email?", "SELECT name FROM customer WHERE coalesce(email, '') != ''"),
        (
            "Which customers in Oslo have no email?",
            "SELECT name FROM customer WHERE city = 'Oslo' AND coalesce(email, '') = ''",
        ),
        ("Which orders have not been shipped?", f"SELECT * {NOT_SHIPPED}"),
        ("Which orders haven't been shipped yet?", f"SELECT * {NOT_SHIPPED}"),
        ("How many orders are not shipped?", f"SELECT count(*) {NOT_SHIPPED}"),
        ("How many orders have been shipped?", "SELECT count(*) FROM orders WHERE coalesce(shipped_date, '') != ''"),
    ],
)
def test_the_rule_writes_the_query(store: Database, question: str, sql: str) -> None:
    answer = store.question(question)
    assert answer.sql == sql
    assert "by rules about rows without a value, or with one" in answer.notes[0]


@pytest.mark.parametrize(
    "question",
    [
        "Which customers have no orders?",  # a table, not a column
        "Which customers with an email have no phone?",  # says more than one column
        "Which customers have no phone number starting with 555?",
        "Show the email of customers in Oslo.",
        "Which customers have the most orders?",
    ],
)
def test_the_rule_stays_away_from_other_questions(store: Database, question: str) -> None:
    assert "coalesce" not in store.question(question).sql


def test_a_word_is_no_cell_by_its_stem_alone(store: Database) -> None:
    linked = store._questions.link("How many tomes are there?", store._name)
    assert [value for value in linked.values if value.kind == "cell"] == []
    linked = store._questions.link("Is there a customer Toms?", store._name)
    assert [value.sql for value in linked.values if value.kind == "cell"] == ["'Tom'"]
