"""The n-th, and the row with the most or the least in each group: rules write what the model does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from normlab.apps.ask.database import Database


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("shop") / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE category (category_id INTEGER PRIMARY KEY, name TEXT);"
            "INSERT INTO category VALUES (1, 'Tools'), (2, 'Toys'), (3, 'Books');"
            "CREATE TABLE product (product_id INTEGER PRIMARY KEY, name TEXT, price REAL, weight REAL, colour TEXT,"
            " listed_on TEXT, category_id INTEGER REFERENCES category (category_id));"
            "INSERT INTO product VALUES (1, 'Saw', 40, 2.5, 'red', '2020-01-05', 1), (2, 'Axe', 60, 3.5, 'red',"
            " '2021-01-05', 1), (3, 'Drill', 60, 1.5, 'blue', '2019-07-05', 1), (4, 'Kite', 15, 0.2, 'blue',"
            " '2022-01-05', 2), (5, 'Train', 50, 1.2, 'green', '2018-01-05', 2), (6, 'Bear', NULL, 0.5, 'green',"
            " '2017-02-05', 2);"
        )
    with Database(path, "spider-sql") as database:
        yield database


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("What is the second highest price?", [(50.0,)]),  # two products share the highest
        ("What is the 2nd highest price?", [(50.0,)]),
        ("What is the second lowest price?", [(40.0,)]),  # no price is no lowest
        ("Which product has the second highest price?", [("Train",)]),
        ("Which product has the third highest price?", [("Saw",)]),
        ("What is the name of the second heaviest product?", [("Saw",)]),
        ("Show the second most expensive product.", [("Train",)]),
        ("Which product has the second lowest weight?", [("Bear",)]),
        ("How many products have the second highest price?", [(1,)]),
    ],
)
def test_the_nth_is_that_of_the_different_values(shop: Database, question: str, rows: list[tuple[object, ...]]) -> None:
    answer = shop.question(question)
    assert answer.rows == rows
    assert "the n-th" in " ".join(answer.notes)


def test_all_who_share_the_nth_value_are_shown(shop: Database) -> None:
    with closing(sqlite3.connect(shop.path)) as connection:
        sql = shop.question("Which product has the third highest price?").sql
        connection.execute("UPDATE product SET price = 40 WHERE name = 'Kite'")
        assert connection.execute(sql).fetchall() == [("Saw",), ("Kite",)]


@pytest.mark.parametrize(
    "question",
    ["What are the two highest prices?", "What is the highest price?", "Show the three most expensive products."],
)
def test_the_first_n_stay_as_they_are(shop: Database, question: str) -> None:
    assert "OFFSET" not in shop.question(question).sql


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("Show the most expensive product in each category.", [("Tools", "Axe", 60.0), ("Toys", "Train", 50.0)]),
        ("Which product is the heaviest in each category?", [("Tools", "Axe", 3.5), ("Toys", "Train", 1.2)]),
        (
            "For each category, show the product with the lowest weight.",
            [("Tools", "Drill", 1.5), ("Toys", "Kite", 0.2)],
        ),
        (
            "Find the newest product of each category.",
            [("Tools", "Axe", "2021-01-05"), ("Toys", "Kite", "2022-01-05")],
        ),
        (
            "Show the heaviest product for each colour.",
            [("blue", "Drill", 1.5), ("green", "Train", 1.2), ("red", "Axe", 3.5)],
        ),
    ],
)
def test_each_group_shows_the_row_with_its_extreme(
    shop: Database, question: str, rows: list[tuple[object, ...]]
) -> None:
    assert shop.question(question).rows == rows


@pytest.mark.parametrize(
    "question",
    [
        "Show the two most expensive products in each category.",
        "What is the second highest price in each category?",
        "Show the second heaviest product of each category.",
    ],
)
def test_several_rows_of_each_group_get_no_answer(shop: Database, question: str) -> None:
    answer = shop.question(question)
    assert answer.withheld
    assert "of each group" in answer.notes[-1]


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("What is the highest price in each category?", {("Tools", 60.0), ("Toys", 50.0)}),
        ("How many products are there in each category?", {("Tools", 3), ("Toys", 3)}),
    ],
)
def test_the_value_of_each_group_stays_the_value(shop: Database, question: str, rows: set[tuple[object, ...]]) -> None:
    assert {tuple(sorted(row, key=str, reverse=True)) for row in shop.question(question).rows} == rows
