"""Running SQL that nobody has vetted: a model's prediction, a stranger's question.

A query runs in a process of its own (`sandbox`, `query_process`): there an authorizer allows reading and nothing else,
and SQLite's limits, a deadline and a bound on memory stand around it. A process that does not answer in time is killed.
One connection per query, closed at once.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.data.sql import sandbox
from normlab.data.sql.query_process import LIMITS, PRAGMAS, decode
from normlab.errors import UserError

# A damaged file's own names may stand in SQLite's message, which then is no UTF-8: Python raises the decoder's error.
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)


class QueryError(Exception):
    """The query gave no result. The message is SQLite's own, or says which rule it broke."""


class QueryRefused(QueryError):  # noqa: N818 - a refusal is the outcome, not a defect
    """The query tried something that a reader may not do: write, attach, read the schema table, and so on."""


class QueryLimit(QueryError):  # noqa: N818
    """A limit of ours stopped the query (time, memory, sizes, a lock): nothing is said against its SQL."""


class QueryTimeout(QueryLimit):
    """The query did not end before its deadline."""


@dataclass(frozen=True)
class QueryResult:
    """Column names, rows as tuples, and whether rows beyond the cap were left out."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool = False


def run_query(
    database: Path | str,
    sql: str,
    *,
    seconds: float = 5.0,
    max_rows: int = 1000,
    max_cell: int | None = None,
) -> QueryResult:
    """Run one SELECT on a database file without any way to change that file or another.

    Args:
        database: path of an SQLite file.
        sql: one statement that starts with SELECT, WITH or VALUES.
        seconds: deadline by the monotonic clock.
        max_rows: rows returned at most; `truncated` tells whether there were more.
        max_cell: text and blobs are cut to this many characters or bytes; None keeps them whole. Text that is
            not UTF-8 is decoded with replacement characters. What is stored may be long, up to 100 MB; what a query
            makes of it may not, beyond the size of the file.
    Raises: `UserError` if the file is missing or no database; `QueryRefused`, `QueryTimeout`, `QueryLimit` (more than
        256 MB of memory, a result of more than 64 MB, a lock ...), `QueryError`.
    """
    if not _FIRST_WORD.match(sql):
        raise QueryRefused("only one statement that starts with SELECT, WITH or VALUES is run")
    path = Path(database)
    check_file(path)
    request = {
        "uri": _uri(path),
        "sql": sql,
        "seconds": seconds,
        "rows": max_rows,
        "bytes": _LARGEST,
        "cell": max_cell,
        "length": _longest_cell(path),
    }
    reply = sandbox.ask(request)
    if "kind" in reply:
        if reply["kind"] == "database":
            raise unreadable(path, reply["message"])
        raise _FAILURES[reply["kind"]](reply["message"])
    rows = [
        tuple(bytes.fromhex(cell["b"]) if isinstance(cell, dict) else cell for cell in row) for row in reply["rows"]
    ]
    return QueryResult(tuple(reply["columns"]), rows, reply["truncated"])


def open_readonly(database: Path | str) -> sqlite3.Connection:
    """Open a database file for our own reading: read-only, limited, text decoded leniently, no authorizer.

    Raises: `UserError` if the file is missing or is no SQLite database.
    """
    path = Path(database)
    check_file(path)
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(_uri(path), uri=True, isolation_level=None)
        connection.text_factory = decode
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("SELECT count(*) FROM sqlite_master")
    except SQLITE_ERRORS as error:
        if connection is not None:
            connection.close()
        raise unreadable(path, error) from None
    for limit, value in LIMITS.items():
        connection.setlimit(limit, value)
    return connection


def unreadable(path: Path, error: Exception | str) -> UserError:
    """Return the error that says why SQLite cannot read a database file, and what helps."""
    reason = " ".join(str(error).split())
    if "locked" in reason or "busy" in reason:
        return UserError(f"{path} is locked by another program ({reason}): close that, or give a copy of the file")
    if "not a database" in reason:
        return UserError(
            f"cannot read {path} as an SQLite database ({reason}): it is of another kind, or encrypted: check the file"
        )
    return UserError(f"cannot read {path} as an SQLite database ({reason}): check the file")


def check_file(path: Path) -> None:
    """Raise `UserError` for what SQLite would take for an empty database, or say little about."""
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder: give the SQLite file in it")
    if not os.path.isfile(path):
        raise UserError(f"no SQLite database at {path}: check the path")
    if not os.access(path, os.R_OK):
        raise UserError(f"cannot read {path}: you may not read it: change its permissions")
    if path.stat().st_size == 0:
        raise UserError(f"cannot read {path} as an SQLite database (it is empty, 0 bytes): check the file")


def _longest_cell(path: Path) -> int:
    """The most bytes of a value: more than the usual limit where the file itself may hold a longer cell."""
    usual = LIMITS[sqlite3.SQLITE_LIMIT_LENGTH]
    return max(usual, min(path.stat().st_size, _LONGEST_STORED))


def _uri(path: Path) -> str:
    """The address of a file, read-only, such that reading leaves no file beside it.

    SQLite reads a database in WAL mode with the help of two files beside it, a log of writes and its index, and makes
    those that are not there. Without a log nobody has the database open and the file is all there is: it is read as
    it stands. A log without its index was copied, or left by a crash: the two are read from a copy.
    """
    resolved = path.resolve()
    log, index = (resolved.with_name(f"{resolved.name}-{suffix}") for suffix in ("wal", "shm"))
    if _size(log) and not index.exists():
        resolved = _copy_with_log(resolved, log)
    fixed = not _size(log) and not index.exists() and _in_wal_mode(resolved)
    return f"{resolved.as_uri()}?mode=ro{'&immutable=1' if fixed else ''}"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _in_wal_mode(path: Path) -> bool:
    """Whether the header says so: looked at once for each state of the file, and in another process.

    Closing a file gives up all locks that a process has on it (POSIX), those of its user's own connections too.
    """
    state = path.stat()
    key = (path, state.st_size, state.st_mtime_ns, state.st_ino)
    if key not in _wal_modes:
        reply = sandbox.ask({"header_of": str(path), "seconds": 10.0})
        if "kind" in reply:
            raise UserError(f"cannot read {path} ({reply['message']}): check the disk")
        _wal_modes[key] = bool(reply["wal"])
    return _wal_modes[key]


def _copy_with_log(path: Path, log: Path) -> Path:
    """A copy of a database and its log in a temporary folder that goes with this process; one for each state."""
    states = [file.stat() for file in (path, log)]
    key = (path, *((state.st_size, state.st_mtime_ns, state.st_ino) for state in states))
    if key not in _copies:
        try:
            folder = tempfile.TemporaryDirectory(prefix="normlab-sqlite-")
            for file in (path, log):
                shutil.copyfile(file, Path(folder.name) / file.name)
        except OSError as error:
            raise UserError(f"cannot copy {path} with its log of writes ({error.strerror}): free some disk") from None
        _copies[key] = folder
    return Path(_copies[key].name) / path.name


_wal_modes: dict[tuple[Path, int, int, int], bool] = {}
_copies: dict[tuple[Any, ...], tempfile.TemporaryDirectory[str]] = {}


# Possessive: a comment that is over is never looked at again, however many there are.
_FIRST_WORD = re.compile(r"(?:\s++|--[^\n]*+\n|/\*(?:[^*]++|\*(?!/))*+\*/)*+(?:SELECT|WITH|VALUES)\b", re.IGNORECASE)
_LARGEST = 64 << 20  # bytes of a result
_LONGEST_STORED = 100_000_000  # bytes of a cell that can be cut
_FAILURES = {"refused": QueryRefused, "timeout": QueryTimeout, "limit": QueryLimit, "error": QueryError}
