"""A database of another kind as an SQLite file: whole tables, read once, in one read-only transaction.

Linking, the grammar and the sandbox of queries (`data/sql`) are for SQLite. So what is asked is a copy, and the only
statements that the database itself gets are normlab's own: a list of tables, and `SELECT columns FROM table`. A model's
query never reaches it. A table is copied whole or not at all, since an answer from a part of it would be wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from normlab.data.sql.sqlite_schema import one_line_name, quoted
from normlab.errors import UserError, did_you_mean
from normlab.plurals import plural

MOST_ROWS = 1_000_000
"""Of a table that is copied; a larger one is left out."""
MOST_BYTES = 2 << 30
_CHUNK = 5_000


class TableError(Exception):
    """A table that cannot be read; the message says why."""


@dataclass(frozen=True)
class Table:
    """A table or view: its name, columns with SQLite's types for them, its primary key, and its foreign keys.

    Attributes:
        foreign: (own columns, other table, its columns) of each key.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    primary: tuple[str, ...] = ()
    foreign: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()


Column = tuple[str, str, str]
"""Table, column, its type as the database calls it."""
Key = tuple[str, bool, Sequence[str], str, Sequence[str]]
"""Table, whether it is the primary key, its columns; for a foreign key the other table and its columns."""


def tables_of(columns: Iterable[Column], keys: Iterable[Key]) -> list[Table]:
    """Return the tables that a database's lists of columns and keys describe, keys of columns not listed left out."""
    listed: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in columns:
        listed.setdefault(table, []).append((column, sqlite_type(kind)))
    primary: dict[str, tuple[str, ...]] = {}
    foreign: dict[str, list[tuple[tuple[str, ...], str, tuple[str, ...]]]] = {}
    for table, is_primary, own, other, its in keys:
        if not {*own} <= {name for name, _ in listed.get(table, ())}:
            continue  # of a column that may not be read
        if is_primary:
            primary[table] = tuple(own)
        else:
            foreign.setdefault(table, []).append((tuple(own), other, tuple(its)))
    return [
        Table(name, tuple(its), primary.get(name, ()), tuple(foreign.get(name, ()))) for name, its in listed.items()
    ]


class Source(Protocol):
    """An open database, in one read-only transaction.

    Attributes:
        name: what messages call it, without a password.
        kind: "DuckDB", "PostgreSQL".
        hint: how to choose another part of it, or "".
    """

    name: str
    kind: str
    hint: str

    def tables(self) -> list[Table]:
        """Return the tables and views that may be read."""

    def rows(self, table: Table, most: int) -> Iterator[Sequence[Any]]:
        """Yield at most so many rows as plain values. Raises: TableError."""

    def close(self) -> None:
        """End the transaction and leave."""


def sqlite_type(name: str) -> str:
    """Return how SQLite calls a type of SQL; texts are what is none of the others."""
    word = name.lower().split("(")[0].strip()
    if "[" in name or word.startswith("interval"):
        return "TEXT"
    for part, kind in _TYPES:
        if part in word:
            return kind
    return "TEXT"


_TYPES = (
    ("timestamp", "DATETIME"),
    ("date", "DATE"),
    ("time", "TIME"),
    ("int", "INTEGER"),
    ("serial", "INTEGER"),
    ("bool", "BOOLEAN"),
    ("numeric", "REAL"),
    ("decimal", "REAL"),
    ("double", "REAL"),
    ("real", "REAL"),
    ("float", "REAL"),
    ("bytea", "BLOB"),
    ("blob", "BLOB"),
)
AS_THEY_ARE = frozenset(("INTEGER", "BOOLEAN", "REAL", "BLOB"))
"""Types of which a driver returns plain values; others are asked for as text."""


def copy_database(source: Source, file: Path, only: Sequence[str] = ()) -> list[str]:
    """Write a new SQLite file with the tables of a database; return lines that say what was done.

    Args:
        only: names of the tables to copy; all if there are none.
    Raises: UserError if nothing can be copied, there is no table of such a name, or all together are too large.
    """
    tables = _chosen(source, only)
    left_out: list[str] = []
    rows = 0
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        copied: list[Table] = []
        for table in tables:
            try:
                rows += _copy(source, table, tables, connection, file)
                copied.append(table)
            except TableError as error:
                with suppress(sqlite3.Error):
                    connection.execute(f"DROP TABLE IF EXISTS {quoted(table.name)}")
                left_out.append(f"{one_line_name(table.name)} ({error})")
    if not copied:
        why = f": {'; '.join(left_out[:3])}" if left_out else f", or you may read none{source.hint}"
        raise UserError(f"{source.name}: has no table to ask about{why}")
    notes = [
        f"a copy of {source.kind} is asked: {plural(len(copied), 'table')}, {plural(rows, 'row')}, as they are now"
    ]
    if left_out:
        notes.append(f"left out: {'; '.join(left_out)}")
    return notes


def _chosen(source: Source, only: Sequence[str]) -> list[Table]:
    """Return the tables to copy; of two that differ in case only, which SQLite cannot tell apart, the first."""
    distinct = {table.name.lower(): table for table in reversed(source.tables())}
    tables = sorted(distinct.values(), key=lambda table: table.name)
    if not only:
        return tables
    for name in only:
        if name.lower() not in distinct:
            raise UserError(f"{source.name}: has no table '{name}': {did_you_mean(name, [t.name for t in tables])}")
    return [table for table in tables if table.name.lower() in {name.lower() for name in only}]


def _copy(source: Source, table: Table, tables: Iterable[Table], connection: sqlite3.Connection, file: Path) -> int:
    """Copy one table; return its number of rows."""
    try:
        connection.execute(_declaration(table, {one.name for one in tables}))
    except (sqlite3.Error, ValueError) as error:
        raise TableError(str(error)) from None
    cells = ", ".join("?" * len(table.columns))
    insert = f"INSERT INTO {quoted(table.name)} VALUES ({cells})"
    count, waiting = 0, source.rows(table, MOST_ROWS + 1)
    while chunk := [[_plain(value) for value in row] for row in islice(waiting, _CHUNK)]:
        count += len(chunk)
        if count > MOST_ROWS:
            raise TableError(f"more than {plural(MOST_ROWS, 'row')}")
        connection.execute("BEGIN")
        try:
            connection.executemany(insert, chunk)
        except sqlite3.Error as error:
            raise TableError(str(error)) from None
        finally:
            connection.execute("COMMIT")
        if file.stat().st_size > MOST_BYTES:
            raise UserError(f"{source.name}: is larger than {MOST_BYTES >> 30} GB: choose tables with --tables")
    return count


def _declaration(table: Table, known: Iterable[str]) -> str:
    lines = [f"{quoted(name)} {kind}" for name, kind in table.columns]
    if table.primary:
        lines.append(f"PRIMARY KEY ({', '.join(map(quoted, table.primary))})")
    for own, other, its in table.foreign:
        if other in known:
            columns, others = (", ".join(map(quoted, names)) for names in (own, its))
            lines.append(f"FOREIGN KEY ({columns}) REFERENCES {quoted(other)} ({others})")
    return f"CREATE TABLE {quoted(table.name)} ({', '.join(lines)})"


def _plain(value: Any) -> Any:
    """Return a value as SQLite has it; an integer beyond 64 bits as the nearest float."""
    if isinstance(value, bool | Decimal):
        return int(value) if isinstance(value, bool) else float(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    return bytes(value) if isinstance(value, memoryview | bytearray) else str(value)
