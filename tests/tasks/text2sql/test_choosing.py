"""Large schemas: which tables are read, that they keep their names and keys, and what that costs."""

from __future__ import annotations

import random
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from normlab.data.sql.part_of_schema import part_of
from normlab.data.sql.schema import Column, Schema, Table
from normlab.data.sql.spider import SpiderFolder
from normlab.tasks.text2sql.inputs.questions import Questions
from normlab.tasks.text2sql.linking.choosing import MOST_COLUMNS, MOST_TABLES, TableChooser, is_large, linked_within
from normlab.tasks.text2sql.linking.linker import Linker
from normlab.tasks.text2sql.linking.relations import relation_ids

NOUNS = ("ship", "port", "crew", "cargo", "route", "storm", "harbour", "voyage", "flag", "engine", "deck", "sail")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 tables of noise, and `captain`, `island` and a table between them, which a question names."""
    path = tmp_path_factory.mktemp("large") / "large.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    draw = random.Random(3)
    connection.execute("BEGIN")
    for number in range(200):
        name = f"{draw.choice(NOUNS)}_{draw.choice(NOUNS)}_{number}"
        connection.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, code TEXT, remark TEXT, amount REAL)")
    connection.execute("CREATE TABLE captain (id INTEGER PRIMARY KEY, name TEXT, age INTEGER)")
    connection.execute("CREATE TABLE island (id INTEGER PRIMARY KEY, name TEXT, climate TEXT)")
    connection.execute(
        "CREATE TABLE passage (captain_id INTEGER REFERENCES captain (id), island_id INTEGER REFERENCES island (id))"
    )
    connection.execute("CREATE TABLE q7 (id INTEGER PRIMARY KEY, label TEXT)")
    connection.execute("INSERT INTO q7 (label) VALUES ('Zanzibar')")
    connection.execute("COMMIT")
    connection.close()
    return path


def _questions(path: Path) -> tuple[Questions, str]:
    questions = Questions(["the"], {}, None, "cells")
    return questions, questions.add_database(path)


def test_a_small_schema_is_read_whole(school: Schema) -> None:
    questions = Questions(["the"], {"school": school}, None, "names")
    item, _ = questions.encode("How many students own a dog?", "school")
    assert not is_large(school)
    assert questions.automaton(item).schema is school
    linked = questions.link("How many students own a dog?", "school")
    assert np.array_equal(np.sort(item.relations, None), np.sort(relation_ids(linked, school), None))


def test_named_tables_and_those_between_them_are_read(large: Path) -> None:
    questions, name = _questions(large)
    item, _ = questions.encode("What is the age of the captain who sailed to each island?", name)
    part = questions.automaton(item).schema
    tables = {table.name for table in part.tables}
    assert {"captain", "island", "passage"} <= tables
    assert len(part.tables) <= MOST_TABLES
    assert len(part.columns) <= MOST_COLUMNS
    assert len(item.relations) < 350
    names = [part.tables[table].name for table in range(len(part.tables))]
    keys = {(part.columns[a].name, names[part.columns[b].table]) for a, b in part.foreign_keys}
    assert {("captain_id", "captain"), ("island_id", "island")} <= keys


def test_a_cell_finds_its_table(large: Path) -> None:
    questions, name = _questions(large)
    item, _ = questions.encode("Is there anything about Zanzibar?", name)
    part = questions.automaton(item).schema
    assert "q7" in {table.name for table in part.tables}
    column = part.columns[item.value_items[item.values.index("'Zanzibar'")] - len(part.tables)]
    assert (part.tables[column.table].name, column.name) == ("q7", "label")


def test_the_same_question_reads_the_same_tables(large: Path) -> None:
    questions, name = _questions(large)
    first, _ = questions.encode("How many islands are there?", name)
    second, _ = questions.encode("How many islands are there?", name)
    assert first.db == second.db


def test_links_of_a_part_are_those_of_the_whole(school: Schema) -> None:
    question = "Which city do students named Ann live in, and what is the weight of their pet?"
    linked = Linker(school).link(question)
    part, columns = part_of(school, [2, 0])
    alone = Linker(part).link(question)
    within = linked_within(linked, [2, 0], columns)
    for links in ("table_links", "column_links", "cell_links"):
        assert np.array_equal(getattr(within, links), getattr(alone, links))


def test_a_part_keeps_names_and_the_keys_between_its_tables(school: Schema) -> None:
    part, columns = part_of(school, [2, 0])
    assert [table.name for table in part.tables] == ["Owns", "Student"]
    assert [school.columns[number].name for number in columns] == [column.name for column in part.columns]
    assert [(part.columns[a].name, part.columns[b].name) for a, b in part.foreign_keys] == [("StuID", "StuID")]
    assert [part.columns[key].name for key in part.primary_keys] == ["StuID"]
    assert part_of(school, range(3))[0] == school


def test_one_table_of_more_columns_than_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wide.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE wide ({', '.join(f'c{n} TEXT' for n in range(500))})")
    connection.close()
    schema = Schema.from_sqlite(path)
    assert TableChooser(schema).choose(Linker(schema).link("Show c7")) == (0,)


def test_gold_tables_of_the_data_are_among_those_read(shared_data: Path) -> None:
    """All databases of the data as one schema of more than 800 tables: questions find their own by names alone."""
    folder = SpiderFolder(shared_data / "spider")
    tables: list[Table] = []
    columns = [Column(-1, "*", "*", "text")]
    foreign: list[tuple[int, int]] = []
    number: dict[tuple[str, str], int] = {}
    for db_id, schema in folder.schemas.items():
        at = len(columns) - 1
        foreign += [(a + at, b + at) for a, b in schema.foreign_keys]
        columns += [replace(column, table=column.table + len(tables)) for column in schema.columns[1:]]
        number |= {(db_id, table.name.lower()): len(tables) + n for n, table in enumerate(schema.tables)}
        tables += schema.tables
    whole = Schema("all", tuple(tables), tuple(columns), (), tuple(foreign))
    linker, chooser = Linker(whole), TableChooser(whole)
    rows = folder.val[::20]
    found = 0
    for row in rows:
        names = re.findall(r"\b(?:from|join)\s+(\w+)", row.query.lower())
        wanted = {number[row.db_id, name] for name in names if (row.db_id, name) in number}
        found += wanted <= {*chooser.choose(linker.link(row.question))}
    assert len(tables) > 800
    assert found > 0.6 * len(rows)
