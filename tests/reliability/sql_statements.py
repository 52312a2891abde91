"""Hostile and odd SQL statements by the thousand through the sandbox: what they change, take, and leave behind.

    python tests/reliability/sql_statements.py --statements 100000
    python tests/reliability/sql_statements.py --statements 2000 --seed 3

Statements are drawn: queries over every function that this SQLite has, joins, recursive tables, statements that write
or attach in each clothing that SQLite knows, calls that want gigabytes, and mutants of all of these (tokens
lost, doubled, swapped, comments and stray bytes between). They go to three databases: rows and views, a hostile one
(triggers, views that never end, full-text tables, cells of half a megabyte), and one that keeps a log of its writes.

Exit code 1 if a statement ends otherwise than with rows or a declared error, takes longer than its deadline and a
second of slack, or if at the end a file of the folder has other bytes, a file is there that was not, or a process took
more memory than the sandbox allows.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from normlab.data.sql import sandbox
from normlab.data.sql.sqlite import QueryError, QueryLimit, QueryRefused, QueryTimeout, run_query

DEADLINE = 0.1
SLACK = 1.0  # seconds that a statement may end late, on a busy machine
START = 64  # MiB that Python takes before a statement runs
_KINDS = {QueryRefused: "refused", QueryTimeout: "stopped by the clock", QueryLimit: "stopped by another bound"}

_SHOP = """
CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, price REAL, sold DATE);
CREATE TABLE sale (id INTEGER PRIMARY KEY, item_id INTEGER REFERENCES item, amount INTEGER);
CREATE INDEX by_item ON sale (item_id);
CREATE VIEW cheap AS SELECT name FROM item WHERE price < 2;
CREATE VIEW spy AS SELECT sql FROM sqlite_master;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
INSERT INTO item (name, price, sold) SELECT 'item ' || i, i / 7.0, date('2020-01-01', i || ' days') FROM n;
INSERT INTO sale (item_id, amount) SELECT id, id % 9 FROM item;
"""
_HOSTILE = """
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, sold TEXT);
CREATE TABLE sale (id INTEGER, item_id INTEGER, amount BLOB);
CREATE TRIGGER wipe AFTER INSERT ON item BEGIN DELETE FROM sale; END;
CREATE VIEW endless AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id FROM n;
CREATE VIEW wide AS SELECT a.name AS x, b.name AS y FROM item a, item b, item c;
CREATE VIEW broken AS SELECT * FROM gone;
INSERT INTO sale VALUES (1, 1, zeroblob(400000)), (2, 2, randomblob(1000));
"""
_TABLES = {
    "item": ("id", "name", "price", "sold"),
    "sale": ("id", "item_id", "amount"),
    "cheap": ("name",),
    "spy": ("sql",),
    "endless": ("id",),
    "wide": ("x", "y"),
    "broken": ("a",),
    "words": ("body",),
    "sqlite_master": ("sql", "name"),
    "nowhere": ("id",),
}
_USUAL = ("item", "item", "sale")  # most statements read these, or nearly all would be refused at once
_WILD = ("rowid", "*", '"name"', "[price]", "`id`", "item.name", "main.item.id", "name", "id", "x")
_VALUES = ("1", "0", "-1", "NULL", "''", "'item 3'", "1e308", "9223372036854775807", "x'00ff'", "'2020-02-30'", "'%a%'")
_OPERATORS = (
    "=",
    "<",
    ">",
    "||",
    "+",
    "-",
    "*",
    "/",
    "%",
    "<<",
    "IS NOT",
    "LIKE",
    "GLOB",
    "MATCH",
    "REGEXP",
    "->",
    "->>",
)
_PRAGMAS = (
    "journal_mode=WAL",
    "writable_schema=1",
    "query_only=0",
    "wal_checkpoint",
    "table_info(item)",
    "user_version=7",
)
_MODULES = ("fts5(a)", "rtree(a,b,c)", "csv(filename=/etc/passwd)", "dbstat")
_STRAY = ("\x00", "/*", "*/", "--\n", "\ud800", "\u202e", ";", "'", '"', "(", ")", "/**/" * 20, "\\", "?1", ":a", "@@")


class Statements:
    """Draws statements; the same seed draws the same ones."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._draw = random.Random(seed)
        self._folder = folder
        with closing(sqlite3.connect(":memory:")) as connection:
            listed = "SELECT DISTINCT name, narg FROM pragma_function_list WHERE type <> 'w' ORDER BY name, narg"
            self._functions: list[tuple[str, int]] = connection.execute(listed).fetchall()
        self._columns: list[str] = list(_WILD)
        self._kinds: list[tuple[int, Callable[[], str]]] = [
            (50, self._query),
            (12, self._writing),
            (8, self._nested_calls),
            (6, self._large_call),
            (3, self._recursive),
            (20, self._mutant),
        ]

    def one(self) -> str:
        """Return a statement."""
        weights = [weight for weight, _ in self._kinds]
        return self._draw.choices([make for _, make in self._kinds], weights)[0]()

    def _any(self, *choices: str) -> str:
        return self._draw.choice(choices)

    def _table(self) -> str:
        return self._any(*(_USUAL if self._draw.random() < 0.8 else _TABLES))

    def _value(self) -> str:
        wild = self._draw.random() < 0.05
        return self._any(self._any(*(_WILD if wild else self._columns)), self._any(*_VALUES))

    def _call(self, depth: int) -> str:
        name, wanted = self._draw.choice(self._functions)
        count = self._draw.randrange(4) if wanted < 0 or self._draw.random() < 0.05 else wanted
        return f"{name}({', '.join(self._expression(depth - 1) for _ in range(count))})"

    def _expression(self, depth: int = 3) -> str:
        if depth <= 0 or self._draw.random() < 0.3:
            return self._value()
        left, right = self._expression(depth - 1), self._expression(depth - 1)
        how = self._draw.randrange(20)
        if how < 9:
            return self._call(depth)
        if how < 15:
            return f"({left} {self._any(*_OPERATORS)} {right})"
        return self._any(
            f"CASE WHEN {left} THEN {right} ELSE {self._any(*_VALUES)} END",
            f"CAST({left} AS {self._any('TEXT', 'INTEGER', 'BLOB', 'REAL')})",
            f"({left} IN ({right}, {self._any(*_VALUES)}))",
            f"(SELECT {left} FROM item LIMIT 1)",
            f"{self._call(1)} OVER (ORDER BY {left})",
        )

    def _query(self, depth: int = 2) -> str:
        tables = [self._table() for _ in range(self._draw.choice((1, 1, 2, 3)))]
        self._columns = [f"t{number}.{column}" for number, name in enumerate(tables) for column in _TABLES[name]]
        items = self._draw.randrange(1, 4)
        what = ", ".join(self._expression(depth) for _ in range(items))
        join = self._any(", ", " JOIN ", " LEFT JOIN ", " NATURAL JOIN ", " CROSS JOIN ")
        source = join.join(f"{name} AS t{number}" for number, name in enumerate(tables))
        text = f"SELECT {self._any('', 'DISTINCT ')}{what} FROM {source}"
        if self._draw.random() < 0.4:
            text += f" WHERE {self._expression(depth)}"
        if self._draw.random() < 0.2:
            text += f" GROUP BY {self._value()} HAVING count(*) > {self._any(*_VALUES)}"
        if self._draw.random() < 0.2:
            text += f" {self._any('UNION', 'UNION ALL', 'EXCEPT', 'INTERSECT')} SELECT {', '.join(['1'] * items)}"
        if self._draw.random() < 0.3:
            text += f" ORDER BY 1 LIMIT {self._any('1', '-1', '100000', '(SELECT 3)')}"
        self._columns = list(_WILD)
        return text

    def _writing(self) -> str:
        new, table = self._folder / f"{self._draw.randrange(1000)}.sqlite", self._table()
        text = self._any(
            f"INSERT INTO {table} (name) VALUES ({self._expression(1)}) RETURNING id",
            f"REPLACE INTO {table} DEFAULT VALUES",
            f"UPDATE {table} SET price = {self._expression(1)}",
            f"DELETE FROM {table}",
            f"DROP {self._any('TABLE', 'VIEW', 'INDEX', 'TRIGGER')} IF EXISTS {table}",
            f"ALTER TABLE {table} {self._any('RENAME TO z', 'ADD COLUMN z', 'DROP COLUMN name')}",
            f"CREATE {self._any('', 'TEMP ')}TABLE z AS {self._query(0)}",
            f"CREATE VIRTUAL TABLE z USING {self._any(*_MODULES)}",
            f"CREATE TRIGGER z AFTER UPDATE ON {table} BEGIN DELETE FROM item; END",
            f"ATTACH '{self._any('', 'file:')}{new}{self._any('', '?mode=rwc', '?vfs=unix-none')}' AS other",
            f"VACUUM {self._any('', 'INTO ' + repr(str(new)))}",
            f"PRAGMA {self._any(*_PRAGMAS)}",
            f"SELECT * FROM pragma_{self._any('table_info', 'database_list', 'integrity_check', 'wal_checkpoint')}",
            f"SELECT writefile('{new}', 'x'), readfile('/etc/passwd'), load_extension('{new}')",
            self._any(
                "BEGIN EXCLUSIVE", "COMMIT", "SAVEPOINT s", "REINDEX", "ANALYZE", "DETACH main", "EXPLAIN SELECT 1"
            ),
        )
        return self._any("", "", f"WITH z AS ({self._query(0)}) ", "SELECT 1; ", "/* SELECT */ ", "EXPLAIN ") + text

    def _nested_calls(self) -> str:
        name = self._any("hex", "quote", "json_quote", "upper", self._draw.choice(self._functions)[0])
        depth, inner = self._draw.randrange(2, 120), self._any("name", "price", *_VALUES)
        return f"SELECT {f'{name}(' * depth}{inner}{')' * depth} FROM {self._table()}"

    def _large_call(self) -> str:
        size = self._any("1000", "1000000", "100000000", "2000000000", "-1")
        return "SELECT " + self._any(
            f"replace(hex(zeroblob({size})), '00', 'aaaaaaaaaa')",
            f"printf('%.*c', {size}, 'x') FROM item",
            f"group_concat(a.amount) FROM sale a, sale b, sale c LIMIT {size}",
            "instr(a.amount || a.amount, substr(a.amount, 2) || 'z') FROM sale a, sale b",
            f"'{'x' * self._draw.randrange(30_000)}' LIKE '{'%a' * self._draw.randrange(600)}'",
            ", ".join(["name"] * self._draw.randrange(1, 700)) + " FROM item a, item b",
            " + ".join(["price"] * self._draw.randrange(1, 200)) + " FROM item",
            f"json_group_array(a.name) FROM item a, item b, item c WHERE a.id < {size}",
        )

    def _recursive(self) -> str:
        step = self._any("i + 1", "i || i", "hex(i)", "i * 2", "(SELECT max(price) FROM item) + i")
        chain = "".join(f", c{n} AS (SELECT x || x AS x FROM c{n - 1})" for n in range(1, self._draw.randrange(2, 40)))
        return self._any(
            f"WITH n(i) AS (SELECT {self._any(*_VALUES)} UNION ALL SELECT {step} FROM n) SELECT count(*) FROM n",
            f"WITH c0 AS (SELECT name AS x FROM item){chain} SELECT x FROM c{chain.count('AS (')}",
            f"SELECT * FROM {', '.join(['item'] * self._draw.randrange(1, 70))}",
        )

    def _mutant(self) -> str:
        tokens = self._any(self._query(1), self._writing(), self._recursive(), self._nested_calls()).split(" ")
        for _ in range(self._draw.randrange(1, 4)):
            place = self._draw.randrange(len(tokens))
            how = self._draw.randrange(4)
            if how == 0:
                tokens[place] = self._any(*_STRAY)
            elif how == 1:
                tokens.insert(place, tokens[place] * self._draw.randrange(1, 20))
            elif how == 2 and len(tokens) > 1:
                del tokens[place]
            else:
                other = self._draw.randrange(len(tokens))
                tokens[place], tokens[other] = tokens[other], tokens[place]
        return " ".join(tokens)


def databases(folder: Path) -> list[Path]:
    """Write the three databases."""
    for name, script in (("shop", _SHOP), ("hostile", _HOSTILE), ("logged", _SHOP)):
        with closing(sqlite3.connect(folder / f"{name}.sqlite")) as connection:
            connection.executescript(script)
            if name == "hostile":
                connection.executemany(
                    "INSERT INTO item VALUES (?, ?, 1.5, NULL)", [(n, "x" * 500_000) for n in range(8)]
                )
                with suppress(sqlite3.OperationalError):  # fts5 is not part of every SQLite
                    connection.execute("CREATE VIRTUAL TABLE words USING fts5(body)")
                connection.commit()
            if name == "logged":
                connection.execute("PRAGMA journal_mode = WAL")
    return sorted(folder.iterdir())


def contents(folder: Path) -> dict[str, str]:
    """Return the checksum of each file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def wrong(database: Path, sql: str, ends: Counter[str], slack: float = SLACK) -> str:
    """Run a statement and count how it ended; return what should not have been, "" if all is well."""
    begun = time.monotonic()
    try:
        run_query(database, sql, seconds=DEADLINE, max_rows=50)
        ends["rows"] += 1
    except QueryError as error:
        ends[_KINDS.get(type(error), "an error of the statement's own")] += 1
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - begun
    return f"took {seconds:.2f} s of {DEADLINE} s" if seconds > DEADLINE + slack else ""


def main(arguments: list[str] | None = None) -> int:
    """Print how the statements ended, what they took, and what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--statements", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    faults: list[str] = []
    ends: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="normlab-statements-") as name:
        folder = Path(name)
        os.chdir(folder)  # a file of a relative name would be seen
        files = databases(folder)
        before = contents(folder)
        statements = Statements(options.seed, folder)
        begun, own = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        for number in range(options.statements):
            sql = statements.one()
            if problem := wrong(files[number % len(files)], sql, ends):
                faults.append(f"{files[number % len(files)].name}: {problem}: {sql[:300]!r}")
            if number % 5000 == 4999:
                print(f"{number + 1:,} statements, {len(faults)} faults, {time.monotonic() - begun:.0f} s", flush=True)
                if contents(folder) != before:
                    break
        sandbox.close()
        if contents(folder) != before:
            faults.append(f"the folder changed: {sorted(contents(folder).items() ^ before.items())}")
        os.chdir("/")
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024 - own
    if largest > sandbox.MEGABYTES + START:
        faults.append(f"a process of the sandbox took {largest} MiB")
    print(f"{sum(ends.values()):,} statements: " + ", ".join(f"{count:,} {end}" for end, count in ends.most_common()))
    print(f"{time.monotonic() - begun:.0f} s; largest process {largest} MiB, this one grew by {grown} MiB")
    print(
        "\n".join(faults[:20])
        or "all good: no file changed, none new, each ended in time with rows or a declared error"
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
