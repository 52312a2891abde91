"""Texts that are numbers: which columns are read so, and as which numbers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from normlab.data.sql.schema import Schema
from normlab.data.sql.text_numbers import NumberColumns, number_form, odd_text, typed_by_cells


def _numbers(cells: list[object]) -> list[object]:
    form = number_form(cells)
    assert form is not None
    with closing(sqlite3.connect(":memory:")) as connection:
        return [connection.execute(f"SELECT {form.number_of('?1')}", (cell,)).fetchone()[0] for cell in cells]


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["12", "7", "-3"], [12, 7, -3]),
        (["12", "7.5", ".5"], [12.0, 7.5, 0.5]),
        (["$900", "$1,200", "$45.50", "-$5"], [900.0, 1200.0, 45.5, -5.0]),
        (["900 EUR", "8 EUR"], [900, 8]),
        (["5 %", "12.5%"], [5.0, 12.5]),
        (["5", "n/a", "", "NULL", "-"], [5, None, None, None, None]),
        (["1,200"], [1200]),
        (["1,200", "1,5"], [1.2, 1.5]),  # the second tells that the comma parts decimals
        (["1.200,50 €", "3,00 €"], [1200.5, 3.0]),
        (["1 200", "12 345 678", "3"], [1200, 12345678, 3]),
        (["12,345,678.25"], [12345678.25]),
        (["1\u00a0200,5"], [1200.5]),
        ([3, 4.5, "n/a"], [3.0, 4.5, None]),  # stored as numbers, with texts where there is none
    ],
)
def test_the_sql_is_the_number_that_people_read(cells: list[object], numbers: list[object]) -> None:
    assert _numbers(cells) == numbers


@pytest.mark.parametrize(
    "cells",
    [
        [],
        ["n/a"],
        ["Lamp", "5"],
        ["007", "8"],
        ["$5", "€5"],  # of two currencies there is no sum
        ["5", "5 %"],
        ["12,34,567"],
        ["1234567890123456"],
        ["2024-01-03"],
        ["12:30"],
        ["1,2", "1.5"],
        [1, 2],  # numbers as they are
        ["5", b"5"],
    ],
)
def test_other_columns_are_no_numbers(cells: list[object]) -> None:
    assert number_form(cells) is None


def test_the_text_among_numbers_is_found() -> None:
    assert odd_text(["5", "12", "about 7", "n/a"]) == "about 7"
    assert odd_text(["5", "12"]) == odd_text(["Lamp", "Sofa", "5"]) == ""


def test_one_text_far_down_makes_the_column_texts(tmp_path: Path) -> None:
    path = tmp_path / "stock.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('CREATE TABLE "my stock" ("unit price" TEXT, amount TEXT)')
        rows = [(f"{number}.5", str(number)) for number in range(3000)]
        connection.executemany('INSERT INTO "my stock" VALUES (?, ?)', [*rows, ("7.5", "many"), (None, None)])
        connection.commit()
    numbers = NumberColumns(path)
    price = numbers.form("My Stock", "UNIT PRICE")
    assert price is not None
    assert price.number_of('"unit price"') == 'CAST("unit price" AS REAL)'
    assert numbers.form("my stock", "amount") is None
    assert numbers.form("my stock", "no such column") is None


def test_types_come_from_the_cells_but_for_keys_and_codes(tmp_path: Path) -> None:
    path = tmp_path / "imported.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE product (id TEXT PRIMARY KEY, name TEXT, price TEXT, zip TEXT, active TEXT, weight);"
            "INSERT INTO product VALUES ('1', 'Lamp', '$9', '1010', '1', '1.5'), ('2', 'Sofa', '$1,200', '8020', '0',"
            " '70'), ('3', 'Desk', '$85', '5020', '1', 'n/a'), ('4', 'Bed', '$300', '6020', '1', '90');"
        )
    schema = Schema.from_sqlite(path)
    types = {column.name: column.type for column in typed_by_cells(path, schema).columns}
    assert types["price"] == types["weight"] == "number"
    assert types["id"] == types["name"] == types["zip"] == types["active"] == "text"
