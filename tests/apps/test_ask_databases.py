"""`normlab ask` of DuckDB files and PostgreSQL servers: read as they are, changed by nothing, refused in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from normlab.apps.ask import copying, postgresql
from normlab.apps.ask.database import Database
from normlab.apps.ask.files import as_database
from normlab.cli import main
from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import run_query
from normlab.errors import UserError

SHOP = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, "Full Name" VARCHAR, since DATE, seen TIMESTAMP, active BOOLEAN);
CREATE TABLE purchase (id BIGINT, customer_id INTEGER REFERENCES customer (id), price NUMERIC(8, 2), PRIMARY KEY (id));
INSERT INTO customer VALUES (1, 'Mara Lind', '2021-04-02', '2024-01-02 03:04:05', TRUE), (2, NULL, NULL, NULL, FALSE);
INSERT INTO purchase VALUES (9000000000, 1, 12.50), (2, 2, 3);
CREATE VIEW price AS SELECT price AS euros FROM purchase WHERE price > 10;
"""
QUESTION = "How many customers are there?"


def check_the_copy(database: Path | str, kind: str) -> None:
    with ExitStack() as resources:
        file, notes = as_database(database, resources)
        assert notes[0] == f"a copy of {kind} is asked: 3 tables, 5 rows, as they are now"
        assert run_query(file, "SELECT * FROM customer ORDER BY id").rows == [
            (1, "Mara Lind", "2021-04-02", "2024-01-02 03:04:05", 1),
            (2, None, None, None, 0),
        ]
        assert run_query(file, "SELECT * FROM purchase ORDER BY id").rows == [(2, 2, 3.0), (9000000000, 1, 12.5)]
        assert run_query(file, "SELECT euros FROM price").rows == [(12.5,)]
        schema = Schema.from_sqlite(file)
        names = [column.name for column in schema.columns]
        assert {(names[a], names[b]) for a, b in schema.foreign_keys} == {("customer_id", "id")}
        assert [schema.columns[key].name for key in schema.primary_keys] == ["id", "id"]
        assert [schema.columns[names.index(name)].type for name in ("since", "active")] == ["time", "boolean"]
    assert not file.exists()


def check_answers(database: Path | str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Database(database, run, beam_size=2, tables=["customer"]) as opened:
        assert [table.name for table in opened.schema.tables] == ["customer"]
        assert opened.question(QUESTION).sql
    asked = ["ask", str(database), "--csv", "--sql"]
    assert main([*asked, "SELECT sum(price) FROM purchase"]) == 0
    assert capsys.readouterr().out == "sum(price)\n15.5\n"
    assert main([*asked, "DELETE FROM purchase"]) == 2
    assert main(["ask", str(database), QUESTION, "--tables", "customers"]) == 2
    assert "has no table 'customers': did you mean 'customer'?" in capsys.readouterr().err


@pytest.fixture
def duck(tmp_path: Path) -> Path:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb: pip install 'normlab[databases]'")
    folder = tmp_path / "data"
    folder.mkdir()
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        connection.execute(SHOP)
    return folder / "shop.duckdb"


def test_a_duckdb_file_is_asked_and_stays_as_it_is(duck: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = duck.read_bytes()
    check_the_copy(duck, "DuckDB")
    check_answers(duck, run, capsys)
    assert duck.read_bytes() == before
    assert [path.name for path in duck.parent.iterdir()] == [duck.name]


def test_a_duckdb_view_reads_no_other_file(duck: Path, tmp_path: Path) -> None:
    import duckdb

    secret = tmp_path / "secret.csv"
    secret.write_text("word\nxyzzy\n")
    with duckdb.connect(str(duck)) as connection:
        connection.execute(f"CREATE VIEW outside AS SELECT * FROM read_csv('{secret}')")
        connection.execute('CREATE TABLE "Customer " (huge HUGEINT, list INTEGER[], word VARCHAR)')
        connection.execute("INSERT INTO \"Customer \" VALUES (170141183460469231731687303715884105727, [1, 2], 'a''b')")
    with ExitStack() as resources:
        file, notes = as_database(duck, resources)
        assert "left out: 'outside' (" in notes[1]
        assert "xyzzy" not in file.read_bytes().decode("latin-1")
        rows = run_query(file, 'SELECT * FROM "Customer "').rows
        assert rows == [(float(2**127 - 1), "[1, 2]", "a'b")]  # SQLite has no larger integers


def test_a_large_table_is_left_out_and_named(duck: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "MOST_ROWS", 1)
    with ExitStack() as resources:
        file, notes = as_database(duck, resources)
        assert notes[1] == "left out: 'customer' (more than 1 row); 'purchase' (more than 1 row)"
        assert [table.name for table in Schema.from_sqlite(file).tables] == ["price"]
        with pytest.raises(UserError, match="has no table to ask about: 'purchase'"):
            as_database(duck, resources, ["purchase"])


def test_a_damaged_duckdb_file_is_one_line(duck: Path, capsys: pytest.CaptureFixture[str]) -> None:
    duck.write_bytes(duck.read_bytes()[:100])
    assert main(["ask", str(duck), QUESTION]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "DuckDB cannot open it" in line


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The folder of the socket of a PostgreSQL server of its own, started for this file."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'normlab[databases]'")
    found = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if found is None:
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql")
    programs = Path(found).parent
    folder = Path(tempfile.mkdtemp(prefix="normlab-pg-"))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **as_user}
    subprocess.run(
        [programs / "initdb", "-D", folder / "data", "-U", "owner", "-A", "trust", "-E", "UTF8", "-N"],
        check=True,
        **quiet,
    )
    start = ["-c", "listen_addresses=", "-k", str(folder), "-F", "-c", "log_statement=all"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([programs / "postgres", "-D", folder / "data", *start], **{**quiet, "stderr": log})
    try:
        _wait_for(folder, process)
        yield str(folder)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(folder: Path, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    while True:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(f"postgresql://owner@/postgres?host={folder}").close()
            return
        except psycopg.OperationalError:
            continue


@pytest.fixture
def shop_url(server: str) -> str:
    import psycopg

    home = f"postgresql://owner@/postgres?host={server}"
    url = f"postgresql://owner:secret@/shop?host={server}"
    with psycopg.connect(home, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop")
        connection.execute("CREATE DATABASE shop")
    with psycopg.connect(url) as connection:
        connection.execute(SHOP)
    return url


def execute(url: str, sql: Any) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(url) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_a_postgresql_database_is_asked(shop_url: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_the_copy(shop_url, "PostgreSQL")
    check_answers(shop_url, run, capsys)


def test_nothing_can_be_changed_in_postgresql(server: str, shop_url: str) -> None:
    import psycopg

    execute(
        shop_url,
        "CREATE FUNCTION sneaky() RETURNS INTEGER LANGUAGE SQL AS"
        " $$ INSERT INTO purchase VALUES (7, 1, 1) RETURNING 1 $$; CREATE VIEW evil AS SELECT sneaky() AS one;"
        "CREATE SEQUENCE counter; CREATE VIEW counting AS SELECT nextval('counter') AS number;",
    )
    log = Path(server) / "log"
    seen = log.stat().st_size
    with ExitStack() as resources:
        _, notes = as_database(shop_url, resources)
    assert "'counting' (cannot execute nextval() in a read-only transaction)" in notes[1]
    assert "'evil' (cannot execute INSERT in a read-only transaction)" in notes[1]
    marks = ("LOG:  statement: ", "LOG:  execute <unnamed>: ")
    lines = log.read_text()[seen:].splitlines()
    statements = [line.partition(mark)[2] or "SELECT" for mark in marks for line in lines if mark in line]
    first_words = {statement.split()[0] for statement in statements}
    assert "DECLARE" in first_words
    allowed = {"BEGIN", "SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "DECLARE", "FETCH", "CLOSE", "WITH"}
    assert first_words <= allowed, statements

    source = postgresql.PostgreSQL(shop_url)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        source._connection.execute("DELETE FROM purchase")
    source.close()
    assert execute(shop_url, "SELECT count(*) FROM purchase") == [(2,)]
    assert execute(shop_url, "SELECT is_called FROM counter") == [(False,)]


def test_a_slow_view_is_left_out_at_the_time_limit(shop_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(shop_url, "CREATE VIEW slow AS SELECT pg_sleep(1000)::text AS waited")
    monkeypatch.setattr(postgresql, "_SETTINGS", postgresql._SETTINGS.replace("60000", "500"))
    with ExitStack() as resources:
        _, notes = as_database(shop_url, resources)
    assert notes[1] == "left out: 'slow' (canceling statement due to statement timeout)"


def test_what_may_not_be_read_is_not_seen_and_another_schema_can_be_chosen(server: str, shop_url: str) -> None:
    execute(
        shop_url,
        "DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN; GRANT SELECT (id, since) ON customer TO guest;"
        "CREATE SCHEMA sales; CREATE TABLE sales.Item (word TEXT); GRANT USAGE ON SCHEMA sales TO guest;"
        "GRANT SELECT ON sales.item TO guest",
    )
    guest = shop_url.replace("owner:secret", "guest")
    with ExitStack() as resources:
        file, _ = as_database(guest, resources)
        schema = Schema.from_sqlite(file)
        assert [table.name for table in schema.tables] == ["customer"]
        assert [column.name for column in schema.columns] == ["*", "id", "since"]
        file, _ = as_database(f"{guest}&options=-csearch_path%3Dsales", resources)
        assert [table.name for table in Schema.from_sqlite(file).tables] == ["item"]
    execute(shop_url, "DROP OWNED BY guest; DROP ROLE guest")


def test_no_connection_is_one_line_without_the_password(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"postgresql://owner:s3cr%21t@/nowhere?host={server}"
    assert main(["ask", url, QUESTION]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "no connection (" in line
    assert 'database "nowhere" does not exist' in line
    assert "s3cr" not in line


@pytest.mark.parametrize(
    ("database", "package"), [("postgresql://owner:secret@localhost/shop", "psycopg"), ("shop.duckdb", "duckdb")]
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    database: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.duckdb").write_bytes(b"12345678DUCK" + bytes(100))
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["ask", database, QUESTION]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(f"needs {package}: pip install 'normlab[databases]'")
    assert "secret" not in line


@pytest.mark.parametrize("url", ["mysql://root:secret@localhost/shop", "https://example.org/shop.sqlite"])
def test_another_url_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", url, QUESTION]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "a URL of this kind is not read" in line
    assert "secret" not in line
