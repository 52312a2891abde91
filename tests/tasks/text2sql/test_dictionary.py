"""A data dictionary: its synonyms link as names do, and what it says wrong is refused in one line."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from normlab.apps.ask.refusals import refuse_for_database
from normlab.data.sql.cells import index_cells
from normlab.data.sql.dictionary import Dictionary, dictionary_beside, read_dictionary
from normlab.data.sql.first_dictionary import first_dictionary
from normlab.data.sql.part_of_schema import part_of
from normlab.data.sql.schema import Schema
from normlab.errors import UserError
from normlab.tasks.text2sql.linking.linker import EXACT, NONE, PARTIAL, STEM, Linker

WRITTEN = """\
itm:
  synonyms: [article, spare parts]
  columns:
    c_17: {synonyms: cost, description: in euros}
    knd:
      values: {P: [paper goods], E: electronics}
"""
ITEM, CLIENT = 0, 1


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "CREATE TABLE itm (id INTEGER PRIMARY KEY, c_17 REAL, knd TEXT, state INTEGER);"
            "CREATE TABLE client (id INTEGER PRIMARY KEY, name TEXT);"
            "INSERT INTO itm VALUES (1, 2.5, 'P', 0), (2, 4, 'E', 1);"
        )
    return path


@pytest.fixture
def schema(database: Path) -> Schema:
    return Schema.from_sqlite(database)


def written(tmp_path: Path, text: str = WRITTEN) -> Dictionary:
    path = tmp_path / "notes.yaml"
    path.write_text(text)
    return read_dictionary(path)


def linker(database: Path, schema: Schema, dictionary: Dictionary | None = None) -> Linker:
    further = dictionary.names_of(schema) if dictionary else None
    return Linker(schema, index_cells(database, schema, database.parent / "cache"), further)


def column(schema: Schema, name: str) -> int:
    return [one.name for one in schema.columns].index(name)


def test_a_synonym_links_as_the_name_itself_does(database: Path, schema: Schema, tmp_path: Path) -> None:
    question = "What is the cost of the articles in euros, and of spare parts?"
    before = linker(database, schema).link(question)
    assert before.table_links.max() == before.column_links.max() == NONE
    after = linker(database, schema, written(tmp_path)).link(question)
    words = after.words.index
    assert after.table_links[words("articles"), ITEM] == STEM
    assert after.table_links[words("spare"), ITEM] == after.table_links[words("parts"), ITEM] == EXACT
    assert after.column_links[words("cost"), column(schema, "c_17")] == EXACT
    assert after.column_links[words("euros"), column(schema, "c_17")] == PARTIAL
    assert after.column_links[words("in")].max() == NONE
    assert after.table_links[:, CLIENT].max() == NONE


def test_a_question_that_is_refused_without_synonyms_is_taken_with_them(
    database: Path, schema: Schema, tmp_path: Path
) -> None:
    question = "How many articles are there?"
    with pytest.raises(UserError, match="no word of the question names anything"):
        refuse_for_database(linker(database, schema).link(question), schema, None, has_cells=True)
    linked = linker(database, schema, written(tmp_path)).link(question)
    refuse_for_database(linked, schema, None, has_cells=True)


def test_a_values_synonym_offers_the_cell_as_it_is_spelled(database: Path, schema: Schema, tmp_path: Path) -> None:
    question = "Which of them are paper goods?"
    assert "'P'" not in {value.sql for value in linker(database, schema).link(question).values}
    linked = linker(database, schema, written(tmp_path)).link(question)
    [value] = [value for value in linked.values if value.sql == "'P'"]
    assert linked.words[value.start : value.end] == ("paper", "goods")
    assert value.columns == (column(schema, "knd"),)
    assert linked.cell_links[value.start, column(schema, "knd")]
    only_names = linker(database, schema, written(tmp_path).without_values()).link(question)
    assert not only_names.cell_links.any()


def test_a_number_stands_for_a_number(database: Path, schema: Schema, tmp_path: Path) -> None:
    dictionary = written(tmp_path, "itm: {columns: {state: {values: {1: [sold out]}}}}")
    linked = linker(database, schema, dictionary).link("Which are sold out?")
    assert "1" in {value.sql for value in linked.values if value.columns}


def test_values_that_no_cell_has_are_named(database: Path, schema: Schema, tmp_path: Path) -> None:
    dictionary = written(tmp_path, "itm: {columns: {knd: {values: {p: [paper], E: [electronics]}}}}")
    assert [cell.text for cell in linker(database, schema, dictionary).unknown_cells] == ["p"]


def test_the_names_of_a_part_of_the_schema_keep_their_place(schema: Schema, tmp_path: Path) -> None:
    dictionary = written(tmp_path, "client: {columns: {name: {synonyms: [title]}}}\nitm: {synonyms: [thing]}")
    dictionary.check(schema)
    part, _ = part_of(schema, [CLIENT])
    further = dictionary.names_of(part)
    assert further.tables == ((),)
    assert further.columns[column(part, "name")] == ("title",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("item: {}", r"there is no table 'item': did you mean 'itm'\?"),
        ("ITM: {columns: {c_71: {}}}", r"table itm has no column 'c_71': did you mean 'c_17'\?"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(schema: Schema, tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserError, match=rf"notes\.yaml: {told}"):
        written(tmp_path, text).check(schema)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: {}\nitm: {synonym: [x]}", r":2: 'itm': unknown key 'synonym': did you mean 'synonyms'\?"),
        ("itm: {synonyms: [[x]]}", r"\['x'\] is no name"),
        ("itm: {synonyms: ['?']}", r"'\?' is no name"),
        ("itm: {columns: [c_17]}", r"expected `name: \.\.\.` lines"),
        ("itm: 3", "expected description, synonyms, columns below it, found 3"),
        ("itm: {description: [x]}", "description: expected a text"),
        ("itm: {columns: {knd: {values: {true: [x]}}}}", "the value True: write it in quotes"),
        ("itm: {}\nItm: {}", ":2: 'Itm': stands twice"),
        ("true: {}", "not a name: write it in quotes"),
    ],
)
def test_what_is_no_dictionary_is_refused_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        written(tmp_path, text)


def test_a_first_dictionary_fits_its_database_and_says_nothing(database: Path, schema: Schema, tmp_path: Path) -> None:
    text = first_dictionary(schema, database)
    assert "values:\n        E: []\n        P: []" in text
    dictionary = written(tmp_path, text)
    dictionary.check(schema)
    assert {*dictionary.tables} == {"itm", "client"}
    assert not any(map(any, (dictionary.names_of(schema).tables, dictionary.names_of(schema).columns)))
    assert "values:" not in first_dictionary(schema)


def test_the_file_beside_a_database_is_found(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dictionary_beside(database) is None
    beside = tmp_path / "shop.sqlite.normlab.yaml"
    beside.write_text(WRITTEN)
    assert dictionary_beside(database) == beside
    (tmp_path.parent / f"{tmp_path.name}.normlab.yaml").write_text(WRITTEN)
    monkeypatch.chdir(tmp_path)
    assert dictionary_beside(Path()) == tmp_path.parent / f"{tmp_path.name}.normlab.yaml"
    assert dictionary_beside(Path("/")) is None
