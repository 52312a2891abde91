"""Names in whole words, and what they do for a database's schema and keys."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from normlab.data.sql.abbreviations import in_whole_words
from normlab.data.sql.inferred_keys import infer_keys
from normlab.data.sql.schema import Schema


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        ("tbl cust", "customer"),
        ("ord no", "order number"),
        ("unit price", "unit price"),
        ("no", "no"),
        ("tbl", "tbl"),
        ("dob", "date of birth"),
        ("no show", "no show"),
        ("birth dt", "birth date"),
    ],
)
def test_abbreviations_are_expanded_as_words_of_their_own(words: str, whole: str) -> None:
    assert in_whole_words(words) == whole


def test_what_a_table_is_for_the_database_is_left_out() -> None:
    assert in_whole_words("ord hdr", table=True) == "order"
    assert in_whole_words("hdr", table=True) == "header"


def test_abbreviated_names_are_natural_ones_and_their_keys_are_found(tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE tblCust (CustNo INTEGER, CustName TEXT); CREATE TABLE Ord_Hdr (OrdNo INTEGER, CustNo INTEGER);"
        "INSERT INTO tblCust VALUES (1, 'Ann'), (2, 'Bo'); INSERT INTO Ord_Hdr VALUES (7, 1), (8, 1), (9, 2);"
    )
    connection.close()
    schema = infer_keys(path, Schema.from_sqlite(path))
    assert [table.natural for table in schema.tables] == ["customer", "order"]
    assert [column.natural for column in schema.columns[1:3]] == ["customer number", "customer name"]
    assert [column.name for column in schema.columns[1:3]] == ["CustNo", "CustName"]
    assert schema.inferred_keys == ((4, 1),)
