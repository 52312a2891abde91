"""Running SQL that nobody has vetted: a model's prediction, a stranger's question.

`mode=ro` alone is not enough: ATTACH can create files, VACUUM INTO copies the database, PRAGMAs change the
connection. So the boundary is the authorizer, fed by SQLite's own parser with a list of what is allowed;
limits, a deadline and a row cap stand around it. One connection per query, closed at once. The deadline is
checked between virtual-machine steps: it cannot interrupt one long call of a built-in function, which the
size limits bound.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.data.sql.sqlite_schema import quoted
from normlab.errors import UserError


class QueryError(Exception):
    """The query gave no result. The message is SQLite's own, or says which rule it broke."""


class QueryRefused(QueryError):  # noqa: N818 - a refusal is the outcome, not a defect
    """The query tried something that a reader may not do: write, attach, read the schema table, and so on."""


class QueryTimeout(QueryError):  # noqa: N818
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
            not UTF-8 is decoded with replacement characters.
    Raises: `UserError` if the file is missing or no database; `QueryRefused`, `QueryTimeout`, `QueryError`.
    """
    if not _FIRST_WORD.match(sql):
        raise QueryRefused("only one statement that starts with SELECT, WITH or VALUES is run")
    with closing(open_readonly(database)) as connection:
        _connect_modules(connection)
        guard = _Guard(time.monotonic() + seconds)
        connection.set_authorizer(guard.authorize)
        connection.set_progress_handler(guard.expired, _STEPS_BETWEEN_LOOKS)
        try:
            cursor = connection.execute(sql)
            rows = cursor.fetchmany(max_rows + 1)
            columns = tuple(column[0] for column in cursor.description or ())
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            raise guard.explain(error) from None
        finally:
            connection.set_authorizer(None)
    kept = rows[:max_rows]
    if max_cell is not None:
        kept = [tuple(_cut(cell, max_cell) for cell in row) for row in kept]
    return QueryResult(columns, kept, truncated=len(rows) > max_rows)


def open_readonly(database: Path | str) -> sqlite3.Connection:
    """Open a database file for our own reading: read-only, limited, text decoded leniently, no authorizer.

    Raises: `UserError` if the file is missing or is no SQLite database.
    """
    path = Path(database)
    _check_file(path)
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(_uri(path), uri=True, isolation_level=None)
        connection.text_factory = _decode
        for pragma in ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise unreadable(path, error) from None
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    return connection


def unreadable(path: Path, error: sqlite3.Error) -> UserError:
    """Return the error that says why SQLite cannot read a database file, and what helps."""
    reason = " ".join(str(error).split())
    if "locked" in reason or "busy" in reason:
        return UserError(f"{path} is locked by another program ({reason}): close that, or give a copy of the file")
    if "not a database" in reason:
        return UserError(
            f"cannot read {path} as an SQLite database ({reason}): it is of another kind, or encrypted: check the file"
        )
    return UserError(f"cannot read {path} as an SQLite database ({reason}): check the file")


def _check_file(path: Path) -> None:
    """Raise `UserError` for what SQLite would take for an empty database, or say little about."""
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder: give the SQLite file in it")
    if not os.path.isfile(path):
        raise UserError(f"no SQLite database at {path}: check the path")
    if not os.access(path, os.R_OK):
        raise UserError(f"cannot read {path}: you may not read it: change its permissions")
    if path.stat().st_size == 0:
        raise UserError(f"cannot read {path} as an SQLite database (it is empty, 0 bytes): check the file")


def _uri(path: Path) -> str:
    """The address of a file, read-only; where its folder is read-only too, a log of writes that is empty is not asked.

    SQLite reads a database in WAL mode with the help of two files beside it, which it cannot make there.
    """
    try:
        with path.open("rb") as file:
            in_wal_mode = file.read(20)[18:] == b"\2\2"
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): check the disk") from None
    log = path.with_name(f"{path.name}-wal")
    fixed = in_wal_mode and not os.access(path.resolve().parent, os.W_OK) and not log.exists()
    return f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if fixed else ''}"


_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:SELECT|WITH|VALUES)\b", re.IGNORECASE | re.DOTALL)
_STEPS_BETWEEN_LOOKS = 1000
_LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000,
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 10,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 50_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
}
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_REFUSED_FUNCTIONS = {
    "load_extension",
    "readfile",
    "writefile",
    "edit",
    "fts3_tokenizer",
    "randomblob",
    "zeroblob",
    "printf",  # one call with a huge precision runs for seconds, out of the deadline's reach
    "format",
}
_READABLE_INTERNAL = {"sqlite_sequence"}  # the official Spider schema counts it among the tables


class _Guard:
    """What may be done, and until when; remembers why it stopped a query."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._refused = ""
        self._late = False

    def authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_PRAGMA and (first, second) == ("data_version", None):
            return sqlite3.SQLITE_OK  # full-text tables ask it while they are read; no SELECT can
        if action not in _ALLOWED:
            self._refused = f"a statement of kind {_ACTIONS.get(action, str(action))}"
        elif action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _REFUSED_FUNCTIONS:
            self._refused = f"the function {second}"
        elif action == sqlite3.SQLITE_READ and _is_internal(first or ""):
            self._refused = f"reading {first}"
        else:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    def expired(self) -> int:
        self._late = time.monotonic() >= self._deadline
        return int(self._late)

    def explain(self, error: Exception) -> QueryError:
        if self._refused:
            return QueryRefused(f"{self._refused} is not allowed")
        if self._late:
            return QueryTimeout("the query did not end in time")
        return QueryError(str(error))


def _connect_modules(connection: sqlite3.Connection) -> None:
    """Make virtual tables ready: their modules declare columns then, which the authorizer would refuse."""
    for (name,) in connection.execute(_VIRTUAL_TABLES).fetchall():
        with suppress(sqlite3.Error):  # of a module that is not here; a query on it says so
            connection.execute(f"PRAGMA table_xinfo({quoted(str(name))})")


_VIRTUAL_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage = 0"


def _is_internal(table: str) -> bool:
    name = table.lower()
    return name.startswith(("sqlite_", "pragma_")) and name not in _READABLE_INTERNAL


_ACTIONS = {
    value: name.removeprefix("SQLITE_").replace("_", " ")
    for name, value in vars(sqlite3).items()
    if re.match(r"SQLITE_(CREATE|DROP|ALTER|AT|DET|DEL|INS|UPD|PRAGMA|TRANS|SAVE|REIND|ANALYZE)", name)
}


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


def _cut(cell: Any, size: int) -> Any:
    return cell[:size] if isinstance(cell, str | bytes) else cell
