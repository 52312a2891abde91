"""Which cell of a database a question names, found by looking its n-grams up, never by scanning the tables.

The index is built once for each database file: every distinct cell under the stems of its words, in a small
SQLite file in the user's cache folder that serves one lookup by its key. Only the first rows, and no long
texts, are read, so that a database of any size costs seconds once and a question microseconds. Where there
is no database the index is empty, and questions are linked by names alone.

    <cache>/cells/<name>-<key>.sqlite   of this file, this schema; rebuilt when the database's file has changed
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import SQLITE_ERRORS, open_readonly
from normlab.data.sql.sqlite_content import file_state
from normlab.data.sql.sqlite_schema import one_line_name, quoted
from normlab.data.text.word_forms import stem, words_of
from normlab.errors import UserError
from normlab.runs.atomic import write_bytes
from normlab.runs.cache_folders import cache_root

MAX_ROWS = 1_000_000
"""Rows of a table that are read."""
MAX_CELLS = 50_000
"""Distinct cells of a column that are kept, in the order of the rows."""
MAX_CHARACTERS = 120
"""Longer texts are no names that a question would give."""
MAX_WORDS = 10
"""Most words of a cell, and so of an n-gram worth looking up."""


class Cell(NamedTuple):
    """A cell's column in the schema and its exact text; `number` if SQLite stores no text there."""

    column: int
    text: str
    number: bool = False


class CellIndex:
    """Cells by the stems of their words.

    Args:
        connection: of a database with the table `cells`; None for an index without cells.
    """

    def __init__(self, connection: sqlite3.Connection | None = None) -> None:
        self._connection = connection

    def __bool__(self) -> bool:
        """Whether there is any cell."""
        return self._connection is not None and bool(self._connection.execute(_ANY).fetchone())

    def lookup(self, keys: Iterable[str]) -> dict[str, list[Cell]]:
        """Return the cells of each key that has some, in the order of columns, then of rows.

        Args:
            keys: n-grams as `cell_key` makes them.
        """
        cells: defaultdict[str, list[Cell]] = defaultdict(list)
        if self._connection is not None:
            for key, *cell in self._connection.execute(_LOOKUP, (json.dumps(list(keys)),)):
                cells[key].append(Cell(cell[0], cell[1], bool(cell[2])))
        return dict(cells)

    def holds(self, cell: Cell) -> bool:
        """Tell whether a column was seen to have a cell of this very text."""
        key = cell.text if cell.number else _key_of_text(cell.text)
        return any(found[:2] == cell[:2] for found in self.lookup([key]).get(key, ()))

    @property
    def left_out(self) -> tuple[str, ...]:
        """A line for each column that could not be read, with the reason."""
        if self._connection is None:
            return ()
        return tuple(json.loads(self._connection.execute("SELECT left_out FROM meta").fetchone()[0]))

    def close(self) -> None:
        """Release the file; the index is empty from then on."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def cell_key(words: Iterable[str]) -> str:
    """Return the key of an n-gram: the stems of its folded words."""
    return " ".join(map(stem, words))


def index_cells(
    database: Path | str | None, schema: Schema, cache_dir: str | os.PathLike[str] | None = None
) -> CellIndex:
    """Return the index of a database's cells, from the cache if it is there and as new as the database.

    A cache that cannot be written costs time, not the result.

    Args:
        database: the SQLite file; None or a missing file gives an index without cells.
        schema: its schema; tables and columns of it that the file lacks have no cells.
        cache_dir: the folder for caches; `cache_root()` if None.
    Raises: `UserError` if the file is no database.
    """
    if database is None or not Path(database).is_file():
        return CellIndex()
    path = Path(database).resolve()
    entry = Path(cache_dir or cache_root()) / "cells" / f"{path.stem}-{_key(path, schema)}.sqlite"
    stamp = _stamp(path)
    connection = _open(entry, stamp)
    if connection is None:
        connection = _build(path, schema, stamp)
        with suppress(OSError):
            write_bytes(entry, connection.serialize())
    return CellIndex(connection)


_FORMAT = 3  # part of every key: raised when the tables or the stems change
_ANY = "SELECT 1 FROM cells LIMIT 1"
_LOOKUP = 'SELECT key, "column", text, number FROM cells WHERE key IN (SELECT value FROM json_each(?)) ORDER BY rowid'
_SHORT = 1_000  # rows
_LOOKS_AT_SHORT = 200
_STEPS_BETWEEN_LOOKS = 10_000
_LONGEST_CELL = 2**31 - 1  # SQLite's own limit is lower
_MOST_ENDLESS = 2
_MAX_LOOKS = 20_000  # of one column: about ten seconds. Counted, not timed, so that the result is always the same


def _key(path: Path, schema: Schema) -> str:
    names = [(column.table, column.name) for column in schema.columns]
    described = json.dumps([_FORMAT, MAX_ROWS, MAX_CELLS, str(path), [t.name for t in schema.tables], names])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _stamp(path: Path) -> str:
    """What tells whether the database, or its log of writes, has changed since."""
    return json.dumps(file_state(path))


def _open(entry: Path, stamp: str) -> sqlite3.Connection | None:
    """Return a connection to a cache file, or None if it is missing, damaged or of an older database."""
    if not os.path.isfile(entry):  # not entry.is_file(), which raises for a folder that may not be entered
        return None
    try:
        uri = f"{entry.resolve().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        with suppress(sqlite3.Error):
            if connection.execute("SELECT stamp FROM meta").fetchone() == (stamp,):
                connection.execute(_ANY)
                return connection
        connection.close()
    except SQLITE_ERRORS:
        pass
    return None


def _build(path: Path, schema: Schema, stamp: str) -> sqlite3.Connection:
    index = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    index.execute('CREATE TABLE cells (key TEXT, "column" INTEGER, text TEXT, number INTEGER)')
    index.execute("CREATE TABLE meta (stamp TEXT, left_out TEXT)")
    index.execute("BEGIN")
    left_out: list[str] = []
    try:
        with closing(open_readonly(path)) as source:
            # One cell beyond the limit for queries would hide all others of its column.
            source.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_CELL)
            index.executemany("INSERT INTO cells VALUES (?, ?, ?, ?)", _rows(source, schema, left_out))
    except UserError:
        index.close()
        raise
    index.execute("INSERT INTO meta VALUES (?, ?)", (stamp, json.dumps(left_out)))
    index.execute("CREATE INDEX by_key ON cells (key)")
    index.execute("COMMIT")
    return index


def _rows(source: sqlite3.Connection, schema: Schema, left_out: list[str]) -> Iterator[tuple[str, int, str, bool]]:
    """The rows of the index; columns that cannot be read (a missing table, a broken view) are added to `left_out`."""
    keys = {*schema.primary_keys, *(column for pair in schema.foreign_keys for column in pair)}
    together: dict[str, list[str | int | float]] | None = None  # of the columns of one table, if read at once
    last = -1
    names: dict[int, list[str]] = {}
    for column in schema.columns:
        names.setdefault(column.table, []).append(column.name)
    endless = 0  # columns that took all of their looks: a file of a hundred such views would take hours
    for number, column in enumerate(schema.columns):
        if column.table < 0:
            continue
        table = schema.tables[column.table].name
        if column.table != last:
            last = column.table
            together = _short_table(source, table, names[last])
        try:
            looks = _MAX_LOOKS if endless < _MOST_ENDLESS else _MAX_LOOKS // 100
            for cell in _cells(source, table, column.name, looks) if together is None else together[column.name]:
                if isinstance(cell, int | float):
                    if number not in keys:  # every key column holds 1, 2, 3
                        yield f"{cell:.15g}", number, f"{cell:.15g}", True
                elif key := _key_of_text(cell):
                    yield key, number, cell, False
        except (*SQLITE_ERRORS, MemoryError) as error:
            reason = " ".join(str(error).split()) or "it does not fit into memory"
            endless += reason == "interrupted"
            left_out.append(f"{one_line_name(f'{table}.{column.name}')}: {reason}")


def _short_table(
    source: sqlite3.Connection, table: str, columns: list[str]
) -> dict[str, list[str | int | float]] | None:
    """The distinct cells of each column of a table with few rows, by one query; None for other and broken tables.

    To prepare a query takes longer than to read a short table, and a database may have thousands of these.
    """
    looks = iter(range(_LOOKS_AT_SHORT))
    source.set_progress_handler(lambda: int(next(looks, None) is None), _STEPS_BETWEEN_LOOKS)
    cells = ", ".join(f"CASE WHEN {_wanted(f't.{quoted(name)}')} THEN t.{quoted(name)} END" for name in columns)
    try:
        rows = source.execute(f"SELECT {cells} FROM {quoted(table)} AS t LIMIT {_SHORT + 1}").fetchall()
    except (*SQLITE_ERRORS, MemoryError):
        return None
    if len(rows) > _SHORT:
        return None
    return {
        name: [cell for cell in dict.fromkeys(row[number] for row in rows) if cell is not None][:MAX_CELLS]
        for number, name in enumerate(columns)
    }


def _cells(source: sqlite3.Connection, table: str, column: str, most_looks: int) -> Iterator[str | int | float]:
    """The distinct cells of a column.

    Raises: sqlite3.Error for what SQLite cannot read, or not within `most_looks`.
    """
    looks = iter(range(most_looks))
    source.set_progress_handler(lambda: int(next(looks, None) is None), _STEPS_BETWEEN_LOOKS)
    name = f"t.{quoted(column)}"  # qualified: SQLite takes an unknown name in double quotes for a text
    first = f"SELECT {name} AS c FROM {quoted(table)} AS t LIMIT {MAX_ROWS}"
    sql = f"SELECT DISTINCT c FROM ({first}) WHERE {_wanted('c')} LIMIT {MAX_CELLS}"
    yield from (c for (c,) in source.execute(sql))


def _wanted(cell: str) -> str:
    """SQL's condition on a cell that a question could give."""
    text = f"typeof({cell}) = 'text' AND length({cell}) <= {MAX_CHARACTERS}"
    return f"(typeof({cell}) IN ('integer', 'real') OR {text})"


def _key_of_text(cell: str) -> str:
    """The key of a cell; "" for one that no n-gram can match."""
    words = words_of(cell)
    return cell_key(words) if len(words) <= MAX_WORDS else ""
