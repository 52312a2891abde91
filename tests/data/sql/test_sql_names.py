"""Names in queries: SQLite takes every one for what it names."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.data.sql.names import column_name, table_name

# https://sqlite.org/lang_keywords.html
KEYWORDS = """abort action add after all alter always analyze and as asc attach autoincrement before begin between by
cascade case cast check collate column commit conflict constraint create cross current current_date current_time
current_timestamp database default deferrable deferred delete desc detach distinct do drop each else end escape except
exclude exclusive exists explain fail filter first following for foreign from full generated glob group groups having if
ignore immediate in index indexed initially inner insert instead intersect into is isnull join key last left like limit
match materialized natural no not nothing notnull null nulls of offset on or order others outer over partition plan
pragma preceding primary query raise range recursive references regexp reindex release rename replace restrict returning
right rollback row rows savepoint select set table temp temporary then ties to transaction trigger unbounded union
unique update using vacuum values view virtual when where window with without"""


def reads_back(name: str) -> bool:
    """A table and a column of that name, holding one 7: do queries with the written names find it?"""
    connection = sqlite3.connect(":memory:")
    quoted = '"' + name.replace('"', '""') + '"'
    connection.execute(f"CREATE TABLE {quoted} ({quoted} INTEGER)")
    connection.execute(f"INSERT INTO {quoted} VALUES (7)")
    table, column = table_name(name), column_name(name)
    queries = [
        f"SELECT {column} , max({column}) FROM {table} WHERE {column} = 7 GROUP BY {column} ORDER BY {column}",
        f"SELECT T1.{column} , 7 FROM {table} AS T1 JOIN {table} AS T2 ON T1.{column} = T2.{column}",
    ]
    return all(connection.execute(query).fetchall() == [(7, 7)] for query in queries)


@pytest.mark.parametrize("word", KEYWORDS.split())
def test_a_keyword_can_be_a_name(word):
    assert reads_back(word)
    assert reads_back(word.upper())


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12))
def test_any_text_can_be_a_name(name):
    assert reads_back(name)


@pytest.mark.parametrize("name", ["name", "Home_Town", "t1", "date", "cast", "year"])
def test_what_needs_no_quotes_has_none(name):
    assert table_name(name) == name


def test_a_column_may_be_called_a_star():
    assert reads_back("*")
