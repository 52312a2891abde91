"""Odd SQLite files as people have them: what can be read is, and what cannot is left out and named."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from normlab.data.sql.column_types import type_category
from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import run_query
from normlab.errors import UserError

ITEM = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT)"


def make(folder: Path, *statements: str, virtual: str = "") -> Path:
    """Write a database; `virtual` is the SQL of a virtual table whose module this SQLite may not have."""
    path = folder / "odd.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    if virtual:
        name = virtual.split()[3]
        connection.execute("PRAGMA writable_schema = 1")
        connection.execute("INSERT INTO sqlite_master VALUES ('table', ?, ?, 0, ?)", (name, name, virtual))
    connection.close()
    return path


@pytest.mark.parametrize(
    ("statements", "virtual", "reason"),
    [
        ((ITEM, "CREATE VIEW v AS SELECT * FROM gone"), "", "view 'v': no such table: main.gone"),
        ((ITEM, "CREATE VIEW v AS SELECT mine(name) AS x FROM item"), "", "view 'v': no such function: mine"),
        ((ITEM, "CREATE VIEW v AS SELECT * FROM v"), "", "view 'v': view v is circularly defined"),
        ((ITEM, "CREATE VIEW v AS SELECT absent FROM item"), "", "view 'v': no such column: absent"),
        (
            (ITEM, "CREATE VIEW w AS SELECT * FROM gone", "CREATE VIEW v AS SELECT * FROM w"),
            "",
            "view 'v': no such table",
        ),
        ((ITEM,), "CREATE VIRTUAL TABLE place USING NoSuchModule()", "virtual table 'place': no such module"),
        ((ITEM,), 'CREATE VIRTUAL TABLE f USING fts5(x, tokenize="none such")', "virtual table 'f': "),
    ],
)
def test_what_cannot_be_read_is_left_out_and_named(
    tmp_path: Path, statements: tuple[str, ...], virtual: str, reason: str
) -> None:
    schema = Schema.from_sqlite(make(tmp_path, *statements, virtual=virtual))
    assert [table.name for table in schema.tables] == ["item"]
    assert any(line.startswith(reason) for line in schema.left_out), schema.left_out


def test_a_sound_database_leaves_nothing_out(tmp_path: Path) -> None:
    path = make(tmp_path, ITEM, "CREATE VIEW v AS SELECT name FROM item")
    assert Schema.from_sqlite(path).left_out == ()
    assert Schema.from_sqlite(path).names == {"item": ("id", "name"), "v": ("name",)}


@pytest.mark.parametrize(
    ("virtual", "columns"),
    [
        ("CREATE VIRTUAL TABLE notes USING fts5(title, body)", ("title", "body")),
        ("CREATE VIRTUAL TABLE notes USING fts4(title, body)", ("title", "body")),
        ("CREATE VIRTUAL TABLE notes USING rtree(id, low, high)", ("id", "low", "high")),
    ],
)
def test_tables_in_which_a_module_keeps_its_data_are_none_of_the_users(
    tmp_path: Path, virtual: str, columns: tuple[str, ...]
) -> None:
    path = make(tmp_path, virtual, "CREATE TABLE notes_of_mine (x)")
    assert Schema.from_sqlite(path).names == {"notes": columns, "notes_of_mine": ("x",)}


def test_columns_of_a_full_text_table_hold_text(tmp_path: Path) -> None:
    schema = Schema.from_sqlite(make(tmp_path, "CREATE VIRTUAL TABLE notes USING fts5(title, body)"))
    assert [column.type for column in schema.columns[1:]] == ["text", "text"]


def test_shadow_tables_of_a_module_that_is_not_here_are_known_by_their_names(tmp_path: Path) -> None:
    path = make(
        tmp_path,
        ITEM,
        "CREATE TABLE place_node (a)",
        "CREATE TABLE place_2020 (a)",
        virtual="CREATE VIRTUAL TABLE place USING NoSuchModule()",
    )
    assert [table.name for table in Schema.from_sqlite(path).tables] == ["item", "place_2020"]


def test_generated_columns_are_columns(tmp_path: Path) -> None:
    path = make(
        tmp_path,
        "CREATE TABLE sale (p REAL, q INT, stored REAL GENERATED ALWAYS AS (p * q) STORED, "
        "virtual REAL GENERATED ALWAYS AS (p + q) VIRTUAL)",
    )
    assert Schema.from_sqlite(path).names == {"sale": ("p", "q", "stored", "virtual")}
    assert Schema.from_sqlite(path, official=True).names == {"sale": ("p", "q")}, "Spider's script sees no others"


def test_each_column_of_a_composite_key_refers_to_its_own(tmp_path: Path) -> None:
    parent = "CREATE TABLE p (a, b, c, PRIMARY KEY (c, a))"
    named = Schema.from_sqlite(make(tmp_path, parent, "CREATE TABLE c (x, y, FOREIGN KEY (x, y) REFERENCES p (c, a))"))
    assert set(named.foreign_keys) == {(4, 3), (5, 1)}
    (tmp_path / "odd.sqlite").unlink()
    unnamed = Schema.from_sqlite(make(tmp_path, parent, "CREATE TABLE c (x, y, FOREIGN KEY (x, y) REFERENCES p)"))
    assert set(unnamed.foreign_keys) == {(4, 3), (5, 1)}, "the key's own order, not the table's"
    assert named.primary_keys == (1, 3)


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("gone (id)", "key 'child.ref': refers to 'gone.id', which is not there"),
        ("gone", "key 'child.ref': refers to 'gone', which is not there"),
        ("item (absent)", "key 'child.ref': refers to 'item.absent', which is not there"),
    ],
)
def test_a_key_to_what_is_not_there_is_left_out_and_named(tmp_path: Path, reference: str, problem: str) -> None:
    schema = Schema.from_sqlite(make(tmp_path, ITEM, f"CREATE TABLE child (id, ref REFERENCES {reference})"))
    assert schema.foreign_keys == ()
    assert schema.left_out == (problem,)


def test_names_are_compared_as_sqlite_does(tmp_path: Path) -> None:
    path = make(
        tmp_path,
        'CREATE TABLE "Ä" (ID INTEGER PRIMARY KEY)',
        'CREATE TABLE "ä" (id INTEGER PRIMARY KEY, "REF" REFERENCES "Ä" (id))',
    )
    schema = Schema.from_sqlite(path)
    assert [table.name for table in schema.tables] == ["Ä", "ä"]
    assert schema.foreign_keys == ((3, 1),)


def test_odd_names_can_be_asked_for(tmp_path: Path) -> None:
    path = make(tmp_path, 'CREATE TABLE "a\nb" ("c\td" INT)', 'CREATE TABLE "" ("" TEXT)', 'CREATE TABLE "?!" (x)')
    schema = Schema.from_sqlite(path)
    assert [table.natural for table in schema.tables] == ["a b", "unnamed", "?!"]
    assert schema.columns[2].natural == "unnamed"
    assert Schema.from_entry(schema.entry()) == schema


@pytest.mark.parametrize("statements", [(ITEM, "DROP TABLE item"), ("CREATE VIEW v AS SELECT * FROM v",)])
def test_a_database_without_a_readable_table_is_refused(tmp_path: Path, statements: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"odd\.sqlite holds no table that can be read"):
        Schema.from_sqlite(make(tmp_path, *statements))


def test_files_that_are_no_database_are_told_apart(tmp_path: Path) -> None:
    whole = make(tmp_path, ITEM).read_bytes()
    (tmp_path / "empty.sqlite").touch()
    (tmp_path / "text.sqlite").write_text("id,name\n" * 100)
    (tmp_path / "cut.sqlite").write_bytes(whole[:3000] + b"\xff" * 4000)
    (tmp_path / "folder.sqlite").mkdir()
    problems = {
        "empty": "it is empty, 0 bytes",
        "text": "file is not a database.*of another kind, or encrypted",
        "cut": "malformed",
        "folder": "is a folder",
        "missing": "no SQLite database at",
    }
    for name, problem in problems.items():
        with pytest.raises(UserError, match=problem) as caught:
            Schema.from_sqlite(tmp_path / f"{name}.sqlite")
        assert f"{name}.sqlite" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_locked_database_is_named_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, ITEM)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0}))
    try:
        with pytest.raises(UserError, match="is locked by another program"):
            Schema.from_sqlite(path)
    finally:
        writer.close()


def test_a_log_of_writes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute(ITEM)
    assert Schema.from_sqlite(path).names == {"item": ("id", "name")}
    writer.close()


def test_a_huge_cell_is_cut_and_hides_nothing(tmp_path: Path) -> None:
    path = make(tmp_path, ITEM, "INSERT INTO item VALUES (1, printf('%.*c', 1000, 'x'))")
    assert run_query(path, "SELECT name FROM item", max_cell=10).rows == [("x" * 10,)]


@pytest.mark.parametrize(
    ("category", "declared"),
    [
        (
            "number",
            "INT;integer;BIGINT UNSIGNED;UNSIGNED BIG INT;int8;TINYINT(1);REAL;DOUBLE PRECISION;double(3,2);FLOAT;"
            "NUMERIC(10,5);decimal;NUMBER(9);serial;money;year(4);FLOATING POINT;MyInt",
        ),
        (
            "text",
            "VARCHAR(20);varchar2(10);NVARCHAR(100);NATIVE CHARACTER(70);character varying(255);TEXT;longtext;CLOB;"
            "ENUM('print','int');set('date');uuid;string;my_text;char(10",
        ),
        ("time", "DATE;datetime;TIMESTAMP WITH TIME ZONE;timestamptz;time(6);smalldatetime;INTERVAL;interval day"),
        ("boolean", "BOOL;boolean;bit;BIT(1)"),
        ("others", ";BLOB;POINT;geometry(Point,4326);multipoint;polygon;json;bytea;printer;sprint;INTEGER[];bit(8)"),
    ],
)
def test_types_are_read_by_their_words(category: str, declared: str) -> None:
    assert {kind: type_category(kind) for kind in declared.split(";")} == dict.fromkeys(declared.split(";"), category)


def test_what_was_left_out_is_no_part_of_what_a_schema_is(tmp_path: Path) -> None:
    """Fingerprints are made of the schema's text: a line more about a view must not make it another schema."""
    schema = Schema.from_sqlite(make(tmp_path, ITEM, "CREATE VIEW v AS SELECT * FROM gone"))
    plain = Schema.from_entry(schema.entry())
    assert schema.left_out
    assert not plain.left_out
    assert schema == plain
    assert repr(schema) == repr(plain)


def test_the_tables_of_a_module_are_left_out_and_named(tmp_path: Path) -> None:
    path = make(tmp_path, ITEM, "CREATE VIRTUAL TABLE notes USING fts5(title)")
    schema = Schema.from_sqlite(path)
    assert [table.name for table in schema.tables] == ["item", "notes"]
    [line] = schema.left_out
    assert "'notes_content'" in line
    assert line.endswith(": the data of 'notes'")


def _written_ahead(folder: Path) -> tuple[Path, sqlite3.Connection]:
    path = folder / "ahead.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", ITEM, "INSERT INTO item (name) VALUES ('pen')"):
        connection.execute(statement)
    return path, connection


def _read(path: Path) -> None:
    assert Schema.from_sqlite(path).names == {"item": ("id", "name")}
    assert run_query(path, "SELECT name FROM item").rows == [("pen",)]


def test_reading_a_database_with_a_log_of_writes_leaves_no_files(tmp_path: Path) -> None:
    path, writer = _written_ahead(tmp_path)
    copied = tmp_path / "copied"
    copied.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", copied)
    with_writer = sorted(tmp_path.iterdir())
    _read(path)
    assert sorted(tmp_path.iterdir()) == with_writer
    writer.close()
    _read(path)
    assert sorted(tmp_path.iterdir()) == [path, copied]
    _read(copied / path.name)
    assert sorted(file.name for file in copied.iterdir()) == [path.name, f"{path.name}-wal"]


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path, ITEM)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="you may not read it: change its permissions"):
        Schema.from_sqlite(path)
