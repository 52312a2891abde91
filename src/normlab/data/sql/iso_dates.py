"""Columns that hold dates as text, `2024-03-05` or with a time behind it: the form in which SQLite compares them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import open_readonly
from normlab.data.sql.sqlite_schema import quoted

CELLS_LOOKED_AT = 200
"""Cells of a column, its first ones, that must all be dates."""
_MOST_STEPS = 10_000  # of SQLite's machine, in thousands, for one column: a second or less
_ISO = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?Z?)?")


def date_columns(path: Path | str, schema: Schema, columns: Iterable[int]) -> frozenset[int]:
    """Return those of some columns whose cells looked at are all ISO dates, one at least.

    Args:
        path: the SQLite file that the schema describes; it is only read.
        columns: numbers of columns.
    Raises: `UserError` if the file cannot be opened.
    """
    with closing(open_readonly(path)) as connection:
        return frozenset(column for column in columns if _are_dates(sample(connection, schema, column)))


def sample(connection: sqlite3.Connection, schema: Schema, number: int) -> list[object]:
    """Return the first cells of a column that are not NULL; none where they cannot be read, or not in bounded time."""
    column = schema.columns[number]
    name, table = quoted(column.name), quoted(schema.tables[column.table].name)
    rows = f"SELECT t.{name} AS c FROM {table} AS t LIMIT {20 * CELLS_LOOKED_AT}"
    steps = iter(range(_MOST_STEPS))
    connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
    try:
        query = f"SELECT c FROM ({rows}) WHERE c IS NOT NULL LIMIT {CELLS_LOOKED_AT}"
        return [cell for (cell,) in connection.execute(query)]
    except sqlite3.Error:  # a broken or endless view, cells that are no text: no evidence
        return []
    finally:
        connection.set_progress_handler(None, 0)


def _are_dates(cells: Sequence[object]) -> bool:
    return bool(cells) and all(isinstance(cell, str) and _ISO.fullmatch(cell) for cell in cells)
