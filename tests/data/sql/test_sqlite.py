"""Safe execution: what a hostile statement may not do, and what an honest one gets."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from normlab.data.sql.sqlite import QueryError, QueryLimit, QueryRefused, QueryTimeout, run_query
from normlab.errors import UserError


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, price REAL);"
        "INSERT INTO item (name, price) VALUES ('pen', 1.5), ('ink', 4), ('map', NULL);"
        "CREATE VIEW cheap AS SELECT name FROM item WHERE price < 2;"
        "CREATE VIEW spy AS SELECT sql FROM sqlite_master;"
    )
    connection.commit()
    connection.close()
    return path


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0"

HOSTILE = [
    "ATTACH DATABASE '{folder}/new.sqlite' AS other",
    "DETACH DATABASE main",
    "VACUUM",
    "VACUUM INTO '{folder}/copy.sqlite'",
    "CREATE TABLE t (a)",
    "CREATE TEMP TABLE t (a)",
    "CREATE TABLE t AS SELECT * FROM item",
    "CREATE VIEW v AS SELECT 1",
    "CREATE INDEX i ON item (name)",
    "CREATE TRIGGER g AFTER INSERT ON item BEGIN DELETE FROM item; END",
    "CREATE VIRTUAL TABLE f USING fts5(a)",
    "INSERT INTO item (name) VALUES ('x')",
    "REPLACE INTO item (id, name) VALUES (1, 'x')",
    "UPDATE item SET price = 0",
    "DELETE FROM item",
    "DELETE FROM item RETURNING id",
    "WITH x AS (SELECT 1) DELETE FROM item",
    "WITH x AS (SELECT 1) INSERT INTO item (name) SELECT 'y' FROM x",
    "DROP TABLE item",
    "ALTER TABLE item RENAME TO gone",
    "PRAGMA writable_schema = ON",
    "PRAGMA query_only = OFF",
    "PRAGMA table_info(item)",
    "SELECT * FROM pragma_table_info('item')",
    "SELECT * FROM pragma_database_list",
    "SELECT sql FROM sqlite_master",
    "SELECT sql FROM sqlite_schema",
    "SELECT name FROM sqlite_temp_master",
    "SELECT load_extension('evil')",
    "SELECT writefile('{folder}/file', 'x')",
    "SELECT readfile('/etc/passwd')",
    "SELECT edit('x', 'sh')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT hex(randomblob(100000000))",
    "SELECT zeroblob(1000000000)",
    "SELECT printf('%.*c', 500000000, 'x')",
    "SELECT format('%.*c', 500000000, 'x')",
    "SELECT " + "hex(" * 22 + "name" + ")" * 22 + " FROM item",
    "BEGIN EXCLUSIVE",
    "COMMIT",
    "SAVEPOINT s",
    "REINDEX",
    "ANALYZE",
    "EXPLAIN SELECT 1",
    "SELECT 1; DROP TABLE item",
    "SELECT 1; SELECT 2",
    "SELECT 'a' LIKE '" + "%a" * 600 + "'",
    "SELECT " + "(" * 2000 + "1" + ")" * 2000,
    "SELECT " + " + ".join(["1"] * 200),
    " UNION ".join(["SELECT 1"] * 12),
    "SELECT '" + "x" * 30_000 + "'",
    "SELECT * FROM nowhere",
    # the schema under its other names, and through what stands between
    "SELECT sql FROM main.sqlite_schema",
    'SELECT sql FROM "sqlite_master"',
    "SELECT sql FROM [SQLITE_MASTER]",
    "SELECT (SELECT sql FROM sqlite_master)",
    "SELECT name FROM item UNION SELECT sql FROM sqlite_master",
    "WITH x AS (SELECT sql FROM sqlite_schema) SELECT * FROM x",
    "SELECT name FROM item WHERE name IN (SELECT name FROM sqlite_master)",
    "SELECT sql FROM spy",
    "SELECT name FROM temp.sqlite_master",
    "SELECT * FROM pragma_table_list",
    "SELECT * FROM dbstat",
    "SELECT * FROM sqlite_dbpage",
    # writing in other clothes
    "ATTACH 'file:{folder}/new.sqlite?mode=rwc' AS other",
    "ATTACH ':memory:' AS other",
    "WITH x AS (SELECT 1) UPDATE item SET price = 0",
    "INSERT INTO item (name) VALUES ('x') RETURNING id",
    "CREATE TEMP VIEW v AS SELECT 1",
    "DROP VIEW cheap",
    "PRAGMA journal_mode = WAL",
    "PRAGMA trusted_schema = ON",
    "ROLLBACK",
    "RELEASE s",
    "VALUES (1); DELETE FROM item",
    "EXPLAIN QUERY PLAN SELECT 1",
    "/* SELECT */ DELETE FROM item",
    # sizes
    "SELECT " + ", ".join(["1"] * 600),
    "SELECT replace(hex(zeroblob(400000)), '00', 'aaaaaaaaaaaaaa')",
    "SELECT 1 \x00",
    "",
    "-- nothing",
]


@pytest.mark.parametrize("sql", HOSTILE, ids=lambda sql: sql[:40])
def test_hostile_statement_is_refused_and_changes_nothing(database: Path, sql: str):
    before = database.read_bytes()
    with pytest.raises(QueryError):
        run_query(database, sql.replace("{folder}", str(database.parent)))
    assert database.read_bytes() == before
    assert [file.name for file in database.parent.iterdir()] == [database.name]


@pytest.mark.parametrize(
    "sql",
    ["PRAGMA table_info(item)", "SELECT sql FROM sqlite_master", "WITH x AS (SELECT 1) DELETE FROM item"],
)
def test_refusal_is_told_from_a_failure(database: Path, sql: str):
    with pytest.raises(QueryRefused, match=r"not allowed|only one statement"):
        run_query(database, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        ENDLESS,
        "SELECT count(*) FROM " + ", ".join(f"item AS i{number}" for number in range(20)),
        "SELECT i1.id FROM " + ", ".join(f"item AS i{number}" for number in range(20)) + " ORDER BY i1.price",
    ],
)
def test_endless_query_stops_at_its_deadline(database: Path, sql: str):
    start = time.monotonic()
    with pytest.raises(QueryTimeout):
        run_query(database, sql, seconds=0.2)
    assert time.monotonic() - start < 60


def test_rows_and_columns_come_back(database: Path):
    result = run_query(database, "SELECT name, price FROM item ORDER BY id")
    assert result.columns == ("name", "price")
    assert result.rows == [("pen", 1.5), ("ink", 4.0), ("map", None)]
    assert not result.truncated


@pytest.mark.parametrize(
    "sql", ["/* c */ SELECT 1", "-- c\nSELECT 1", "values (1)", "with x as (select 1) select * from x"]
)
def test_every_way_to_begin_a_query_is_accepted(database: Path, sql: str):
    assert run_query(database, sql).rows == [(1,)]


def test_limits_of_one_query_do_not_outlast_it(database: Path):
    with pytest.raises(QueryTimeout):
        run_query(database, ENDLESS, seconds=0.05)
    assert run_query(database, "SELECT count(*) FROM item").rows == [(3,)]


def test_a_database_that_keeps_a_log_of_writes_is_read_and_not_changed(database: Path):
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO item (name) VALUES ('new')")
    writer.commit()
    before = database.read_bytes()
    assert run_query(database, "SELECT count(*) FROM item").rows == [(4,)]
    with pytest.raises(QueryError):
        run_query(database, "DELETE FROM item")
    assert database.read_bytes() == before
    assert writer.execute("SELECT count(*) FROM item").fetchall() == [(4,)]
    writer.close()


def test_the_counter_of_automatic_keys_can_be_read(database: Path):
    assert run_query(database, "SELECT name, seq FROM sqlite_sequence").rows == [("item", 3)]


def test_views_can_be_read(database: Path):
    assert run_query(database, "SELECT * FROM cheap").rows == [("pen",)]


def test_row_cap_keeps_the_first_rows_and_says_so(database: Path):
    result = run_query(database, "SELECT id FROM item ORDER BY id", max_rows=2)
    assert result.rows == [(1,), (2,)]
    assert result.truncated


def test_row_cap_equal_to_the_rows_is_no_truncation(database: Path):
    assert not run_query(database, "SELECT id FROM item", max_rows=3).truncated


def test_cells_are_cut_on_request(database: Path):
    assert run_query(database, "SELECT 'abcdef', 7", max_cell=3).rows == [("abc", 7)]


def test_text_that_is_not_utf8_is_decoded_with_replacements(database: Path):
    assert run_query(database, "SELECT CAST(x'61ff62' AS TEXT)").rows == [("a\ufffdb",)]


@pytest.mark.parametrize("name", ["a b.sqlite", "what?.sqlite", "50%.sqlite", "a#b.sqlite", "it's.sqlite"])
def test_odd_file_names_open_the_right_file(database: Path, name: str):
    odd = database.rename(database.with_name(name))
    assert run_query(odd, "SELECT count(*) FROM item").rows == [(3,)]
    assert [file.name for file in odd.parent.iterdir()] == [name]


def test_missing_file_is_named_and_not_created(tmp_path: Path):
    with pytest.raises(UserError, match=r"gone\.sqlite"):
        run_query(tmp_path / "gone.sqlite", "SELECT 1")
    assert not list(tmp_path.iterdir())


def test_file_that_is_no_database_is_named(tmp_path: Path):
    path = tmp_path / "notes.sqlite"
    path.write_text("these are not the pages you are looking for" * 50)
    with pytest.raises(UserError, match=r"notes\.sqlite"):
        run_query(path, "SELECT 1")


def test_a_read_only_file_can_be_read(database: Path):
    database.chmod(0o444)
    assert run_query(database, "SELECT count(*) FROM item").rows == [(3,)]


@pytest.mark.parametrize("module", ["fts5(name, body)", "fts4(name, body)", "rtree(name, low, high)"])
def test_virtual_tables_can_be_read_and_not_written(tmp_path: Path, module: str):
    path = tmp_path / "notes.sqlite"
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE VIRTUAL TABLE notes USING {module}")
    connection.execute("INSERT INTO notes VALUES (1, 2, 3)" if "rtree" in module else "INSERT INTO notes VALUES (1, 2)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    assert [str(cell) for (cell,) in run_query(path, "SELECT name FROM notes").rows] == ["1"]
    for sql in (
        "SELECT 1; DELETE FROM notes",
        "WITH x AS (SELECT 1) DELETE FROM notes",
        "SELECT * FROM pragma_data_version",
    ):
        with pytest.raises(QueryError):
            run_query(path, sql)
    assert path.read_bytes() == before


def test_a_table_of_an_unknown_module_is_a_failed_query(tmp_path: Path):
    path = tmp_path / "place.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE item (id)")
    connection.execute("PRAGMA writable_schema = 1")
    sql = "CREATE VIRTUAL TABLE place USING NoSuchModule()"
    connection.execute("INSERT INTO sqlite_master VALUES ('table', 'place', 'place', 0, ?)", (sql,))
    connection.close()
    assert run_query(path, "SELECT count(*) FROM item").rows == [(0,)]
    with pytest.raises(QueryError, match="no such module"):
        run_query(path, "SELECT * FROM place")


def test_functions_that_read_json_may_be_called_and_those_that_read_the_schema_not(database: Path):
    sql = "SELECT value FROM json_each('[3, 5]') UNION ALL SELECT key FROM json_tree('{\"a\": 1}') WHERE atom"
    assert run_query(database, sql).rows == [(3,), (5,), ("a",)]
    with pytest.raises(QueryRefused):
        run_query(database, "SELECT name FROM pragma_table_info('a')")


def test_a_stored_cell_above_the_usual_limit_is_cut_and_a_made_one_is_refused(tmp_path: Path):
    path = tmp_path / "long.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (note TEXT)")
    connection.execute("INSERT INTO t VALUES (?)", ("x" * 11_000_000,))
    connection.commit()
    connection.close()
    assert run_query(path, "SELECT note FROM t", max_cell=1000).rows == [("x" * 1000,)]
    with pytest.raises(QueryLimit):
        run_query(path, "SELECT note || note FROM t", max_cell=1000)
