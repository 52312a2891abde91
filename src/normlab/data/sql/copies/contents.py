"""What of a database its copies are made from: statements that create it, keys, and some rows of each table.

Everything is bounded: so many tables, rows, bytes of a cell and steps of SQLite's machine. A large database is sampled.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from normlab.data.sql.pieces import pieces
from normlab.data.sql.sqlite import SQLITE_ERRORS, open_readonly, unreadable
from normlab.data.sql.sqlite_schema import quoted

Value = Any  # None, int, float, str, bytes: what SQLite stores
Row = list[Value]

MAX_ROWS = 200
"""Rows of a table that are kept."""
MAX_ALL_ROWS = 20_000
"""Rows of all tables: of a database of many tables fewer of each are kept, five at least."""
MAX_ROWS_READ = 20_000
"""Rows of a table among which the kept ones are drawn."""
MAX_CELL = 2_000
"""Characters or bytes of a cell; longer ones are cut."""
_MOST_STEPS = 20_000  # of SQLite's machine, in thousands, for one table


@dataclass(frozen=True)
class Column:
    """A column that holds values of its own: its name, SQLite's affinity, and whether NULL is allowed."""

    name: str
    affinity: str
    nullable: bool


@dataclass(frozen=True)
class Key:
    """A foreign key: columns of `table` refer to `target_columns` of `target`, all in lower case."""

    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: as the database has it.
        columns: without generated ones.
        primary: numbers of the primary key's columns, in `columns`.
        rows: a value for each column.
    """

    name: str
    columns: tuple[Column, ...]
    primary: tuple[int, ...]
    rows: list[Row] = field(repr=False)

    def number(self, column: str) -> int:
        """Return the number of a column by its lower-case name; ValueError for one that is not there."""
        return [one.name.lower() for one in self.columns].index(column)


@dataclass(frozen=True)
class Contents:
    """What a copy is made from.

    Attributes:
        statements: SQL that creates tables, then views and indexes; row numbers are free (`INT` for `INTEGER`).
        tables: lower-case name -> table.
        keys: foreign keys that hold in the database, and those that it declares.
    """

    statements: list[str]
    tables: dict[str, Table]
    keys: list[Key]


def read_contents(path: Path, further_keys: Iterable[Key] = (), *, seed: int = 0) -> Contents:
    """Read a database for its copies.

    Args:
        path: the SQLite file; it is only read.
        further_keys: keys that the file need not declare; taken if they hold among its rows.
        seed: of the rows that are kept of a long table.
    Raises: `UserError` if the file is no database.
    """
    with closing(open_readonly(path)) as connection:
        try:
            objects = connection.execute(_OBJECTS).fetchall()
        except SQLITE_ERRORS as error:
            raise unreadable(path, error) from None
        names = [name for kind, name, _ in objects if kind == "table"]
        most = max(5, min(MAX_ROWS, MAX_ALL_ROWS // max(len(names), 1)))
        tables = {}
        for name in names:
            rng = random.Random(f"{seed}:{name}")
            with suppress(*SQLITE_ERRORS, MemoryError):  # a table that cannot be read stays empty in the copies
                tables[name.lower()] = _table(connection, name, most, rng)
        keys = [key for name in names if name.lower() in tables for key in _declared(connection, name, tables)]
        keys += [key for key in further_keys if key not in keys and _known(key, tables) and _holds(connection, key)]
    statements = [_with_free_rows(sql) if kind == "table" else sql for kind, _, sql in objects]
    return Contents(statements, tables, keys)


# Tables before what stands on them; virtual tables have no pages of their own, triggers would change what is inserted.
_OBJECTS = """
    SELECT type, name, sql FROM sqlite_master
    WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
      AND (type IN ('view', 'index') OR type = 'table' AND rootpage > 0)
    ORDER BY type = 'index', type = 'view', rowid
"""


def _with_free_rows(sql: str) -> str:
    """Make an integer key an ordinary column, so that rows can be stored in any order whatever their keys are."""
    words = {"integer": "INT", "autoincrement": ""}
    # A type may stand in quotes too: `"id" "INTEGER" PRIMARY KEY`.
    return "".join(words.get(piece.strip('"`[]').lower(), piece) for piece in pieces(sql))


def _table(connection: sqlite3.Connection, name: str, most: int, rng: random.Random) -> Table:
    described = connection.execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
    own = [row for row in described if row[6] not in (2, 3)]  # 2 and 3: generated
    columns = tuple(Column(row[1], _affinity(row[2]), not row[3] and not row[5]) for row in own)
    primary = tuple(number for _, number in sorted((row[5], number) for number, row in enumerate(own) if row[5]))
    if not columns:
        return Table(name, columns, primary, [])
    listed = ", ".join(quoted(column.name) for column in columns)
    steps = iter(range(_MOST_STEPS))
    connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
    kept: list[Row] = []
    try:
        # Reservoir sampling: no more rows than the kept ones are in memory at once.
        for seen, row in enumerate(connection.execute(f"SELECT {listed} FROM {quoted(name)} LIMIT {MAX_ROWS_READ}")):
            if seen < most:
                kept.append(list(map(_cut, row)))
            elif (place := rng.randrange(seen + 1)) < most:
                kept[place] = list(map(_cut, row))
    except (*SQLITE_ERRORS, MemoryError):
        pass  # damaged, or out of steps: what was read so far is enough
    finally:
        connection.set_progress_handler(None, 0)
    return Table(name, columns, primary, kept)


def _cut(value: Value) -> Value:
    return value[:MAX_CELL] if isinstance(value, str | bytes) else value


def _affinity(declared: str) -> str:
    """SQLite's rules of column affinity (https://sqlite.org/datatype3.html, 3.1): text, number, blob; or date."""
    name = declared.upper()
    if "DATE" in name or "TIME" in name:  # numeric to SQLite, which knows no dates; what is stored is text
        return "date"
    if "INT" in name:
        return "number"
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return "text"
    return "blob" if "BLOB" in name or not name else "number"


def _declared(connection: sqlite3.Connection, name: str, tables: dict[str, Table]) -> list[Key]:
    grouped: dict[int, list[Sequence[Any]]] = {}
    for row in connection.execute(f"PRAGMA foreign_key_list({quoted(name)})"):
        grouped.setdefault(row[0], []).append(row)
    keys = []
    for rows in grouped.values():
        rows.sort(key=lambda row: row[1])
        target = tables.get(str(rows[0][2]).lower())
        own = tuple(target.columns[number].name for number in target.primary) if target else ()
        referred = tuple(row[4] for row in rows) if rows[0][4] else own
        columns = tuple(str(row[3]).lower() for row in rows)
        key = Key(name.lower(), columns, str(rows[0][2]).lower(), tuple(one.lower() for one in referred))
        if len(columns) == len(referred) and _known(key, tables):
            keys.append(key)
    return keys


def _known(key: Key, tables: dict[str, Table]) -> bool:
    """Whether the tables and columns of a key were read."""
    return all(
        name in tables and {column.name.lower() for column in tables[name].columns} >= set(columns)
        for name, columns in ((key.table, key.columns), (key.target, key.target_columns))
    )


def dangling(key: Key) -> str:
    """Return SQL's condition on rows `c` of a key's table that refer to no row."""
    pairs = list(zip(key.columns, key.target_columns, strict=True))
    given = " AND ".join(f"c.{quoted(column)} IS NOT NULL" for column, _ in pairs)
    same = " AND ".join(f"p.{quoted(target)} = c.{quoted(column)}" for column, target in pairs)
    return f"{given} AND NOT EXISTS (SELECT 1 FROM {quoted(key.target)} AS p WHERE {same})"


def _holds(connection: sqlite3.Connection, key: Key) -> bool:
    steps = iter(range(_MOST_STEPS))
    connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
    try:
        found = connection.execute(f"SELECT 1 FROM {quoted(key.table)} AS c WHERE {dangling(key)} LIMIT 1").fetchone()
        return found is None
    except SQLITE_ERRORS:
        return False
    finally:
        connection.set_progress_handler(None, 0)


def with_rows(table: Table, rows: list[Row]) -> Table:
    """Return the table with other rows."""
    return replace(table, rows=rows)
