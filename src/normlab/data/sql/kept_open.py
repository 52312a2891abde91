"""Many short looks into one file on one connection: to open a file costs more than most looks take."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from normlab.data.sql.sqlite import SQLITE_ERRORS, open_readonly

_MOST_STEPS = 10_000  # of SQLite's machine, in thousands, for one look: a second or less

# Of each thread, since SQLite's connections belong to one: path -> its connection, None until the first look.
_kept = threading.local()


@contextmanager
def kept_open(path: Path) -> Iterator[None]:
    """Let all `reading` of a file within it, in this thread, share one connection, which is closed at the end."""
    connections: dict[Path, sqlite3.Connection | None] = _kept.__dict__.setdefault("connections", {})
    if path in connections:
        yield
        return
    connections[path] = None
    try:
        yield
    finally:
        connection = connections.pop(path)
        if connection is not None:
            connection.close()


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection as `open_readonly` does: the one that `kept_open` keeps, or one of its own.

    Raises: `UserError` if the file is missing or is no SQLite database.
    """
    connections: dict[Path, sqlite3.Connection | None] = _kept.__dict__.setdefault("connections", {})
    if path not in connections:
        with closing(open_readonly(path)) as own:
            yield own
        return
    connection = connections[path]
    if connection is None:
        connection = connections[path] = open_readonly(path)
    yield connection


def bounded_rows(connection: sqlite3.Connection, query: str) -> list[tuple[object, ...]] | None:
    """Return a query's rows; None for a broken or endless view, cells that are no text, or too much work."""
    steps = iter(range(_MOST_STEPS))
    connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
    try:
        return connection.execute(query).fetchall()
    except SQLITE_ERRORS:
        return None
    finally:
        connection.set_progress_handler(None, 0)
