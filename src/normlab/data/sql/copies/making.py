"""Mutated copies of a database as files in the cache, each in two orders of its rows.

    <cache>/copies/<name>-<key>/<number>.sqlite   and   <number>-reversed.sqlite

The key holds the database's content, the seed, the constants and the keys: another database, another split of
questions or another seed has copies of its own. A query whose result is not the same in both orders has no defined
result there (LIMIT among equal rows, a column beside GROUP BY).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import astuple
from pathlib import Path
from typing import NamedTuple

from normlab.data.sql.copies.constants import Constants
from normlab.data.sql.copies.contents import Contents, Key, Table, dangling, read_contents
from normlab.data.sql.copies.mutation import mutated
from normlab.data.sql.sqlite_content import content_hash
from normlab.data.sql.sqlite_schema import quoted
from normlab.runs.atomic import write_bytes
from normlab.runs.cache_folders import writable_folder

_FORMAT = 1  # part of every key: raised when a rule changes
_STEPS_BETWEEN_LOOKS = 100_000
_MOST_LOOKS = 5_000  # of one copy: its statements and rows are few
_LARGEST = 64 << 20  # bytes of a copy
_LONGEST = 1 << 20  # bytes of a text or a statement in it


class Copy(NamedTuple):
    """A copy's file, and the file that holds the same rows in reverse order."""

    path: Path
    reversed: Path


def mutated_copies(
    database: Path, count: int, *, seed: int = 0, constants: Constants | None = None, keys: Iterable[Key] = ()
) -> Iterator[Copy]:
    """Yield so many copies of a database, made where the cache lacks them.

    Args:
        database: the SQLite file; it is only read, and nothing is written beside it.
        count: how many; the first N of more copies are the same.
        seed: of all choices.
        constants: what queries compare columns with (`constants_of`).
        keys: foreign keys beyond those that the file declares.
    Raises: `UserError` if the file cannot be read as a database; OSError if no file can be written anywhere.
    """
    constants, keys = constants or {}, list(keys)
    described = json.dumps([_FORMAT, content_hash(database), seed, sorted(constants.items()), [*map(astuple, keys)]])
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    folder = writable_folder("copies") / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', database.stem)[:60]}-{key}"
    contents: Contents | None = None
    for number in range(count):
        copy = Copy(folder / f"{number}.sqlite", folder / f"{number}-reversed.sqlite")
        if not (copy.path.is_file() and copy.reversed.is_file()):
            contents = contents or read_contents(database, keys, seed=seed)
            tables = mutated(contents, constants, random.Random(f"{key}:{number}"))
            for path, backwards in ((copy.path, False), (copy.reversed, True)):
                write_bytes(path, _file(contents, tables, backwards=backwards))
        yield copy


def _file(contents: Contents, tables: dict[str, Table], *, backwards: bool) -> bytes:
    """The bytes of an SQLite file with these tables, of rows that what the database declares allows."""
    looks = iter(range(_MOST_LOOKS))
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        # Statements of a stranger's file: they may create, and no more.
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)  # a CHECK may ask for any text
        connection.execute("PRAGMA page_size=1024")
        connection.execute(f"PRAGMA max_page_count={_LARGEST // 1024}")
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.set_progress_handler(lambda: next(looks, None) is None, _STEPS_BETWEEN_LOOKS)
        connection.execute("BEGIN")
        for sql in contents.statements:
            if _CREATES.match(sql):
                with suppress(sqlite3.Error, sqlite3.Warning):  # a module or function that is not here
                    connection.execute(sql)
        for table in tables.values():
            _insert(connection, table)
        _drop_dangling(connection, contents.keys)
        if backwards:
            for table in tables.values():
                _reverse(connection, table)
        connection.execute("COMMIT")
        return connection.serialize()


_CREATES = re.compile(r"\s*CREATE\s+(TABLE|VIEW|INDEX|UNIQUE\s+INDEX)\b", re.IGNORECASE)


def _insert(connection: sqlite3.Connection, table: Table) -> None:
    if not table.columns or not table.rows:
        return
    names = ", ".join(quoted(column.name) for column in table.columns)
    signs = ", ".join("?" * len(table.columns))
    with suppress(sqlite3.Error):  # a table that could not be created
        # Rows that a UNIQUE or CHECK forbids are left out.
        connection.executemany(f"INSERT OR IGNORE INTO {quoted(table.name)} ({names}) VALUES ({signs})", table.rows)


def _drop_dangling(connection: sqlite3.Connection, keys: list[Key]) -> None:
    """Delete rows that refer to none, until there are no more: the row that they refer to may have been forbidden."""
    changed = True
    while changed:
        before = connection.total_changes
        for key in keys:
            with suppress(sqlite3.Error):
                connection.execute(f"DELETE FROM {quoted(key.table)} AS c WHERE {dangling(key)}")
        changed = connection.total_changes > before


def _reverse(connection: sqlite3.Connection, table: Table) -> None:
    """Store a table's rows the other way round."""
    names = ", ".join(quoted(column.name) for column in table.columns)
    with suppress(sqlite3.Error):  # WITHOUT ROWID: the key is the order
        rows = connection.execute(f"SELECT {names} FROM {quoted(table.name)} ORDER BY rowid DESC").fetchall()
        connection.execute(f"DELETE FROM {quoted(table.name)}")
        _insert(connection, Table(table.name, table.columns, table.primary, [list(row) for row in rows]))
