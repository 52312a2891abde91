"""Mutated copies of a database: seeded, bounded, keys kept, nothing left beside the file."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from normlab.data.sql.copies import contents, making
from normlab.data.sql.copies.constants import constants_of
from normlab.data.sql.copies.contents import Key, read_contents
from normlab.data.sql.copies.making import Copy, mutated_copies
from normlab.errors import UserError

SCRIPT = """
CREATE TABLE city (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE, people INTEGER,
    founded DATE);
CREATE TABLE "Order" (id INT PRIMARY KEY, city INTEGER REFERENCES city(id), code TEXT UNIQUE,
    price REAL CHECK (price > 0), doubled REAL GENERATED ALWAYS AS (price * 2));
CREATE TABLE part_of (big INTEGER, small INTEGER, since TEXT, PRIMARY KEY (big, small),
    FOREIGN KEY (big) REFERENCES city(id), FOREIGN KEY (small) REFERENCES city(id)) WITHOUT ROWID;
CREATE TABLE boss (id INTEGER PRIMARY KEY, name TEXT, boss_id INTEGER REFERENCES boss(id));
CREATE TABLE hollow (id INTEGER PRIMARY KEY, kind TEXT, day DATE);
CREATE VIEW big_city AS SELECT * FROM city WHERE people > 100;
INSERT INTO city VALUES (1, 'Oslo', 700, '1048-01-01'), (2, 'Bergen', 280, '1070-05-17'), (3, 'Voss', 15, '1838-01-01');
INSERT INTO "Order" (id, city, code, price) VALUES (7, 1, 'A01', 2.5), (8, 1, 'A02', 4.0), (9, 3, 'A03', 1.25);
INSERT INTO part_of VALUES (1, 2, '1900'), (1, 3, '1950');
INSERT INTO boss VALUES (1, 'Ann', NULL), (2, 'Bo', 1), (3, 'Cy', 1), (4, 'Di', 2);
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return made(tmp_path / "mine" / "towns.sqlite", SCRIPT)


def made(path: Path, script: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)
    return path


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def dump(copies: list[Copy]) -> list[bytes]:
    return [path.read_bytes() for copy in copies for path in copy]


def test_equal_seeds_give_equal_copies_and_others_do_not(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dump(list(mutated_copies(database, 3, seed=4)))
    monkeypatch.setenv("NORMLAB_CACHE", str(tmp_path / "another"))
    assert dump(list(mutated_copies(database, 3, seed=4))) == first
    assert dump(list(mutated_copies(database, 3, seed=5))) != first
    assert dump(list(mutated_copies(database, 2, seed=4))) == first[:4]
    assert len(set(first)) == 6


def test_copies_come_from_the_cache_until_the_database_changes(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(mutated_copies(database, 2))
    with monkeypatch.context() as broken:
        broken.setattr(making, "read_contents", lambda *_, **__: pytest.fail("made again"))
        assert list(mutated_copies(database, 2)) == before
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE city SET people = 1")
    assert list(mutated_copies(database, 2)) != before


def test_nothing_is_left_beside_the_file_and_it_is_not_changed(database: Path, cache: Path) -> None:
    before = database.read_bytes()
    copies = list(mutated_copies(database, 2))
    assert [file.name for file in database.parent.iterdir()] == ["towns.sqlite"]
    assert database.read_bytes() == before
    assert all(cache in path.parents for copy in copies for path in copy)


def test_keys_stay_unique_and_point_to_rows_that_are_there(database: Path) -> None:
    for copy in mutated_copies(database, 20):
        for path in copy:
            assert rows(path, "PRAGMA foreign_key_check") == []
            assert rows(path, "PRAGMA integrity_check") == [("ok",)]
            assert rows(path, "SELECT count(*) - count(DISTINCT id) FROM city") == [(0,)]
            assert rows(path, 'SELECT count(*) FROM "Order" WHERE price <= 0 OR doubled <> 2 * price') == [(0,)]


def test_a_key_that_only_a_schema_knows_is_kept_where_it_holds(tmp_path: Path) -> None:
    script = "CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (x INT, y INT);"
    script += "INSERT INTO p VALUES (1), (2), (3); INSERT INTO c VALUES (1, 9), (2, 1), (2, 2);"
    path = made(tmp_path / "mine" / "plain.sqlite", script)
    held, broken = Key("c", ("x",), "p", ("id",)), Key("c", ("y",), "p", ("id",))
    assert read_contents(path, [held, broken]).keys == [held]
    strange = "SELECT count(*) FROM c WHERE x NOT IN (SELECT id FROM p)"
    assert all(rows(copy.path, strange) == [(0,)] for copy in mutated_copies(path, 10, keys=[held]))


def test_a_reversed_copy_has_the_same_rows_in_the_other_order(database: Path) -> None:
    for copy in mutated_copies(database, 5):
        for table in ("city", "boss", '"Order"'):
            assert rows(copy.reversed, f"SELECT * FROM {table}") == rows(copy.path, f"SELECT * FROM {table}")[::-1]


def test_each_kind_of_change_occurs(database: Path) -> None:
    copies = [copy.path for copy in mutated_copies(database, 80)]
    sizes = {rows(path, "SELECT count(*) FROM city")[0][0] for path in copies}
    assert min(sizes) < 3 < max(sizes)
    assert any(rows(path, "SELECT 1 FROM city WHERE people IS NULL") for path in copies)
    assert not any(rows(path, "SELECT 1 FROM city WHERE name IS NULL") for path in copies)
    days = {day for path in copies for (day,) in rows(path, "SELECT founded FROM city WHERE founded IS NOT NULL")}
    assert len(days) > 10
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", str(day)) for day in days)
    assert len({bool(rows(path, "SELECT 1 FROM city WHERE people NOT IN (700, 280, 15)")) for path in copies}) == 2
    assert all(rows(path, "SELECT count(*) FROM hollow") > [(0,)] for path in copies)
    assert rows(copies[0], "SELECT count(*) FROM big_city")


def test_constants_of_queries_are_met_and_nearly_met(database: Path) -> None:
    gold = ['SELECT 1 FROM city WHERE people >= 500 AND name = "Bodø"', "SELECT 1 FROM hollow WHERE kind LIKE '%zz%'"]
    copies = [copy.path for copy in mutated_copies(database, 30, constants=constants_of(gold))]
    people = {one for path in copies for (one,) in rows(path, "SELECT people FROM city")}
    assert people >= {499, 500, 501}
    names = {one for path in copies for (one,) in rows(path, "SELECT name FROM city")}
    assert {"Bodø", "Bodøx"} <= names
    assert any(rows(path, gold[1]) for path in copies)


def test_constants_are_read_with_their_columns() -> None:
    sql = "SELECT a FROM t WHERE T1.Age >= 5 AND name = 'O''Neil' OR x NOT IN (1, 2.5) AND d BETWEEN 3 AND 7 LIMIT 4"
    assert constants_of([sql, 'SELECT a FROM t WHERE age <> 6 AND `my col` LIKE "%b%"']) == {
        "age": (5, 6),
        "name": ("O'Neil",),
        "x": (1, 2.5),
        "d": (3, 7),
        "my col": ("%b%",),
    }


def test_a_large_database_is_sampled(tmp_path: Path) -> None:
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, long TEXT);"
    script += "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000)"
    script += "INSERT INTO t SELECT i, printf('%05000d', i) FROM n;"
    path = made(tmp_path / "mine" / "large.sqlite", script)
    table = read_contents(path).tables["t"]
    assert len(table.rows) == contents.MAX_ROWS
    assert max(row[0] for row in table.rows) > contents.MAX_ROWS
    assert {len(row[1]) for row in table.rows} == {contents.MAX_CELL}
    assert all(copy.path.stat().st_size < 2_000_000 for copy in mutated_copies(path, 3))


def test_a_view_and_a_default_that_never_end_are_bounded(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    path = made(tmp_path / "mine" / "endless.sqlite", f"CREATE TABLE t (a); CREATE VIEW v AS {endless};")
    [copy] = mutated_copies(path, 1)
    assert rows(copy.path, "SELECT count(*) > 0 FROM t") == [(1,)]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.sqlite"
    path.write_text("no database at all, whatever its name says" * 20)
    with pytest.raises(UserError, match="not a database"):
        list(mutated_copies(path, 1))
