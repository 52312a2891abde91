"""The index of a database's cells: what it finds, what it survives, and when it is rebuilt."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normlab.data.sql import cells
from normlab.data.sql.cells import Cell, CellIndex, cell_key, index_cells
from normlab.data.sql.schema import Column, Schema, Table
from normlab.data.text.word_forms import fold, stem, tokens_of, words_of
from normlab.errors import UserError


def database(folder: Path, script: str, name: str = "shop") -> Path:
    path = folder / f"{name}.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(script)
    return path


def indexed(tmp_path: Path, script: str) -> tuple[Schema, CellIndex]:
    path = database(tmp_path, script)
    schema = Schema.from_sqlite(path)
    return schema, index_cells(path, schema, tmp_path / "cache")


def find(index: CellIndex, text: str) -> list[Cell]:
    return index.lookup([cell_key(words_of(text))]).get(cell_key(words_of(text)), [])


def test_a_cell_is_found_whatever_its_case_accents_and_signs(tmp_path: Path):
    _, index = indexed(tmp_path, "CREATE TABLE t (a, b); INSERT INTO t VALUES ('Tokyo , Japan', 'São Paulo');")
    assert find(index, "tokyo,japan") == [Cell(1, "Tokyo , Japan")]
    assert find(index, "SAO PAULO") == [Cell(2, "São Paulo")]
    assert find(index, "paulo") == []


def test_a_plural_finds_its_singular(tmp_path: Path):
    _, index = indexed(tmp_path, "CREATE TABLE t (kind); INSERT INTO t VALUES ('dog'), ('Hybrid Cities');")
    assert [cell.text for cell in find(index, "dogs")] == ["dog"]
    assert [cell.text for cell in find(index, "hybrid city")] == ["Hybrid Cities"]


def test_one_text_in_two_columns_gives_both_and_repeated_rows_one(tmp_path: Path):
    _, index = indexed(tmp_path, "CREATE TABLE t (a, b); INSERT INTO t VALUES ('x1', 'x1'), ('x1', 'X1');")
    assert find(index, "x1") == [Cell(1, "x1"), Cell(2, "x1"), Cell(2, "X1")]


def test_numbers_are_indexed_but_not_those_of_keys(tmp_path: Path):
    script = """
        CREATE TABLE a (id INTEGER PRIMARY KEY, year INTEGER, price REAL, up INTEGER REFERENCES a (id));
        INSERT INTO a VALUES (2010, 2010, 2.5, 2010);
    """
    _, index = indexed(tmp_path, script)
    assert find(index, "2010") == [Cell(2, "2010", number=True)]
    assert find(index, "2.5") == [Cell(3, "2.5", number=True)]


def test_names_with_spaces_quotes_and_keywords_are_read(tmp_path: Path):
    script = """
        CREATE TABLE "order ""of"" things" ("select" TEXT, "it's" TEXT);
        INSERT INTO "order ""of"" things" VALUES ('red', 'blue');
    """
    _, index = indexed(tmp_path, script)
    assert find(index, "red") == [Cell(1, "red")]
    assert find(index, "blue") == [Cell(2, "blue")]


def test_bytes_that_are_no_utf8_do_not_stop_the_index(tmp_path: Path):
    _, index = indexed(
        tmp_path,
        "CREATE TABLE t (a TEXT); INSERT INTO t VALUES (CAST(x'636166e9' AS TEXT)), ('tea'), (x'00ff'), (NULL);",
    )
    assert find(index, "tea") == [Cell(1, "tea")]


def test_what_the_file_lacks_has_no_cells(tmp_path: Path):
    path = database(tmp_path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('tea');")
    columns = (Column(-1, "*", "*", "text"), Column(0, "a", "a", "text"), Column(0, "tea", "x", "text"))
    schema = Schema("d", (Table("t", "t"), Table("gone", "gone")), (*columns, Column(1, "b", "b", "text")), (), ())
    assert find(index_cells(path, schema, tmp_path), "tea") == [Cell(1, "tea")]


@pytest.mark.parametrize("path", [None, "nowhere.sqlite"])
def test_without_a_database_the_index_is_empty(tmp_path: Path, path: str | None):
    index = index_cells(path and tmp_path / path, Schema("d", (), (), (), ()), tmp_path)
    assert not index
    assert index.lookup(["tea"]) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_the_users_mistake(tmp_path: Path):
    (tmp_path / "x.sqlite").write_text("no database at all, though it is long enough to look like one")
    with pytest.raises(UserError, match=r"x\.sqlite"):
        index_cells(tmp_path / "x.sqlite", Schema("d", (), (), (), ()), tmp_path)


def test_a_database_without_rows_gives_a_false_index(tmp_path: Path):
    _, index = indexed(tmp_path, "CREATE TABLE t (a TEXT);")
    assert not index


def test_the_second_opening_reads_the_cache_and_a_changed_database_rebuilds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    built = []
    build = cells._build
    monkeypatch.setattr(cells, "_build", lambda *args: built.append(1) or build(*args))
    path = database(tmp_path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('tea');")
    schema = Schema.from_sqlite(path)
    first, second = (index_cells(path, schema, tmp_path / "cache") for _ in range(2))
    assert len(built) == 1
    assert find(first, "tea") == find(second, "tea") == [Cell(1, "tea")]
    database(tmp_path, "INSERT INTO t VALUES ('coffee');")
    os.utime(path, ns=(0, 1))
    assert find(index_cells(path, schema, tmp_path / "cache"), "coffee") == [Cell(1, "coffee")]
    assert len(built) == 2
    assert len(list((tmp_path / "cache" / "cells").iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"rubbish" * 100])
def test_a_damaged_cache_is_rebuilt(tmp_path: Path, damage: bytes):
    path = database(tmp_path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('tea');")
    schema = Schema.from_sqlite(path)
    index_cells(path, schema, tmp_path / "cache").close()
    (entry,) = (tmp_path / "cache" / "cells").iterdir()
    entry.write_bytes(damage)
    assert find(index_cells(path, schema, tmp_path / "cache"), "tea") == [Cell(1, "tea")]
    assert entry.read_bytes() != damage


def test_a_cache_that_cannot_be_written_costs_no_result(tmp_path: Path):
    path = database(tmp_path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('tea');")
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert find(index_cells(path, Schema.from_sqlite(path), tmp_path / "cache"), "tea")


def test_the_database_is_not_touched(tmp_path: Path):
    path = database(tmp_path, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('tea');")
    before = path.read_bytes(), path.stat().st_mtime_ns
    index_cells(path, Schema.from_sqlite(path), tmp_path / "cache")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_caps_hold_and_an_endless_view_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cells, "MAX_CELLS", 3)
    monkeypatch.setattr(cells, "_MAX_LOOKS", 20)
    script = f"""
        CREATE TABLE t (a TEXT);
        INSERT INTO t VALUES ('w1'), ('w2'), ('w2'), ('w3'), ('w4'), ('{"long " * 30}');
        CREATE VIEW v AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT 1 FROM n) SELECT x FROM n;
    """
    _, index = indexed(tmp_path, script)
    assert [bool(find(index, word)) for word in ("w1", "w2", "w3", "w4")] == [True, True, True, False]
    assert not find(index, "long " * 30)


def test_five_hundred_tables_are_indexed(tmp_path: Path):
    script = "".join(f"CREATE TABLE t{n} (a TEXT); INSERT INTO t{n} VALUES ('cell {n}');" for n in range(500))
    _, index = indexed(tmp_path, script)
    assert [cell.text for cell in find(index, "cell 499")] == ["cell 499"]


@given(st.text())
def test_tokens_lie_where_they_say_and_lose_nothing_but_spaces(text: str):
    tokens = tokens_of(text)
    assert all(text[token.start : token.end] == token.text != "" for token in tokens)
    assert "".join(token.text for token in tokens) == "".join(text.split())


@given(st.text(min_size=1))
def test_folding_and_stemming_leave_something_and_settle(text: str):
    assert tokens_of(f"{text} pens")
    for token in tokens_of(f"{text} pens"):
        folded = fold(token.text)
        assert folded
        assert stem(folded)
        assert fold(folded) == folded


@pytest.mark.parametrize(
    "text, words",
    [
        ("O'Neil's 1,000 pets.", ["O", "'", "Neil", "'", "s", "1,000", "pets", "."]),
        ("taller than 1.85.", ["taller", "than", "1.85", "."]),
        ("on 2007-11-05, 10-20", ["on", "2007", "-", "11", "-", "05", ",", "10", "-", "20"]),
        ("Ref_Company v1.2.3", ["Ref", "_", "Company", "v1", ".", "2.3"]),
    ],
)
def test_text_is_cut_into_words_numbers_and_signs(text: str, words: list[str]):
    assert [token.text for token in tokens_of(text)] == words


def test_a_huge_cell_hides_no_other_of_its_column(tmp_path: Path):
    script = "CREATE TABLE t (a); INSERT INTO t VALUES (printf('%.*c', 3000000, 'x')), (zeroblob(3000000)), ('small');"
    _, index = indexed(tmp_path, script)
    assert find(index, "small") == [Cell(1, "small")]
    assert index.left_out == ()


def test_columns_that_cannot_be_read_are_named_and_remembered(tmp_path: Path):
    path = database(tmp_path, "CREATE TABLE t (a); INSERT INTO t VALUES ('seen');")
    columns = (Column(-1, "*", "*", "text"), Column(0, "a", "a", "text"), Column(0, "gone", "gone", "text"))
    schema = Schema("shop", (Table("t", "t"),), columns, (), ())
    built = index_cells(path, schema, tmp_path / "cache")
    cached = index_cells(path, schema, tmp_path / "cache")
    assert built.left_out == cached.left_out == ("'t.gone': no such column: t.gone",)
    assert find(cached, "seen") == [Cell(1, "seen")]


def test_other_cells_behind_the_same_time_and_size_are_seen(tmp_path: Path):
    path = database(tmp_path, "CREATE TABLE t (a); INSERT INTO t VALUES ('pen');")
    schema, state = Schema.from_sqlite(path), path.stat()
    index_cells(path, schema, tmp_path / "cache").close()
    path.write_bytes(path.read_bytes().replace(b"pen", b"ink"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    index = index_cells(path, schema, tmp_path / "cache")
    assert (find(index, "pen"), find(index, "ink")) == ([], [Cell(1, "ink")])


def test_a_short_table_read_at_once_gives_the_cells_that_its_columns_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mixed.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT); CREATE TABLE empty (c);"
            "INSERT INTO t (a, b) VALUES ('Oslo', 'x'), (1, 'x'), (1.0, NULL), (X'00', 'y z'), (2.5, '');"
            "INSERT INTO t (a, b) VALUES ('Bergen', 'x');"
        )
        connection.execute("INSERT INTO t (a, b) VALUES (?, 'w')", ("long " * 100,))
        connection.commit()
    schema = Schema.from_sqlite(path)

    def rows(folder: str) -> list[tuple[object, ...]]:
        cells.index_cells(path, schema, tmp_path / folder)
        [file] = (tmp_path / folder / "cells").iterdir()
        with closing(sqlite3.connect(file)) as index:
            return index.execute('SELECT key, "column", text, number FROM cells').fetchall()

    at_once = rows("at_once")
    monkeypatch.setattr(cells, "_SHORT", 1)
    assert rows("by_column") == at_once
    assert {text for _, _, text, _ in at_once} == {"Oslo", "1", "2.5", "Bergen", "x", "y z", "w"}
