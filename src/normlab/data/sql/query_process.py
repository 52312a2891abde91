"""The process in which a query runs that nobody has vetted. It imports the standard library only and starts fast.

`sandbox` starts it (`python -I -S query_process.py`), writes a line of JSON for each query and reads a line of JSON
back; at the end of its input the process ends. Memory is bounded by the system (RLIMIT_AS), time by a deadline that
SQLite's virtual machine looks at, and beyond that by the parent, which kills the process: nothing in here can interrupt
one long call of a built-in function, or the preparation of a statement. Processor time has a bound of its own
(RLIMIT_CPU), so that a process whose parent is gone ends too.

`mode=ro` alone is not enough for reading: ATTACH can create files, VACUUM INTO copies the database, PRAGMAs change the
connection. So the boundary is the authorizer, fed by SQLite's own parser with a list of what is allowed.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import time
from contextlib import closing, suppress
from typing import Any

try:
    import resource
except ImportError:  # Windows has no such limits: there the parent's clock is the only bound
    resource = None  # type: ignore[assignment]

LIMITS = {
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000,
    sqlite3.SQLITE_LIMIT_LENGTH: 10_000_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 10,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 50_000,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
}
PRAGMAS = ("query_only=ON", "trusted_schema=OFF", "cell_size_check=ON")
_STEPS_BETWEEN_LOOKS = 1000
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
_VIRTUAL_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage = 0"
_TABLE_FUNCTIONS = ("json_each", "json_tree")  # they read their argument only, unlike pragma_* and dbstat
_LIMIT_ERRORS = ("SQLITE_TOOBIG", "SQLITE_NOMEM", "SQLITE_BUSY", "SQLITE_LOCKED")


class _TooLargeError(Exception):
    """The rows read so far are more than an answer may hold."""


class Guard:
    """What may be done, and until when; remembers why it stopped a query."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self.refused = ""
        self.late = False

    def authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        """Answer SQLite's parser, which asks for each thing that a statement would do."""
        if action == sqlite3.SQLITE_PRAGMA and (first, second) == ("data_version", None):
            return sqlite3.SQLITE_OK  # full-text tables ask it while they are read; no SELECT can
        if action not in _ALLOWED:
            self.refused = f"a statement of kind {_ACTIONS.get(action, str(action))}"
        elif action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _REFUSED_FUNCTIONS:
            self.refused = f"the function {second}"
        elif action == sqlite3.SQLITE_READ and _is_internal(first or ""):
            self.refused = f"reading {first}"
        else:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    def expired(self) -> int:
        """Tell SQLite's virtual machine whether to stop."""
        self.late = time.monotonic() >= self._deadline
        return int(self.late)


def decode(raw: bytes) -> str:
    """Return the text of a cell; what is not UTF-8 becomes replacement characters."""
    return raw.decode("utf-8", errors="replace")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Run one query.

    Args:
        request: `uri` and `sql`; `seconds`; `rows` and `bytes`, most of the answer; `cell`, most of one cell, or None;
            `length`, most bytes of a text or blob while the query runs. Or `header_of`, a path.
    Returns: {"columns", "rows", "truncated"}; of a header {"wal": whether it keeps a log of writes}; or
        {"kind", "message"} of a failure: "database" (it cannot be read),
        "refused", "timeout", "limit" (a limit of ours stopped it) or "error" (the query is to blame).
    """
    if "header_of" in request:
        return _header(request["header_of"])
    guard = Guard(time.monotonic() + request["seconds"])
    try:
        connection = sqlite3.connect(request["uri"], uri=True, isolation_level=None, timeout=request["seconds"])
    except (sqlite3.Error, UnicodeError) as error:
        return {"kind": "database", "message": str(error)}
    with closing(connection):
        try:
            _prepare(connection)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, request["length"])
        except (sqlite3.Error, UnicodeError) as error:
            return {"kind": "database", "message": str(error)}
        connection.set_authorizer(guard.authorize)
        connection.set_progress_handler(guard.expired, _STEPS_BETWEEN_LOOKS)
        try:
            return _rows(connection, request)
        except _TooLargeError:
            return {"kind": "limit", "message": f"its result is larger than {request['bytes'] >> 20} MB"}
        except MemoryError:
            return {"kind": "limit", "message": "it needs more memory than a query may have"}
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
            return _explained(guard, error)


def _header(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return {"wal": file.read(20)[18:] == b"\2\2"}
    except OSError as error:
        return {"kind": "database", "message": error.strerror}


def _prepare(connection: sqlite3.Connection) -> None:
    connection.text_factory = decode
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("SELECT count(*) FROM sqlite_master")
    for limit, value in LIMITS.items():
        connection.setlimit(limit, value)
    # Modules of virtual tables declare their columns when first used, which the authorizer would refuse.
    for (name,) in connection.execute(_VIRTUAL_TABLES).fetchall():
        with suppress(sqlite3.Error):  # of a module that is not here; a query on it says so
            connection.execute("PRAGMA table_xinfo({})".format('"' + str(name).replace('"', '""') + '"'))
    for name in _TABLE_FUNCTIONS:
        with suppress(sqlite3.Error):  # built without JSON
            connection.execute(f"SELECT 1 FROM {name}('[]')").fetchall()


def _rows(connection: sqlite3.Connection, request: dict[str, Any]) -> dict[str, Any]:
    cursor = connection.execute(request["sql"])
    rows: list[list[Any]] = []
    size = 0
    truncated = False
    for row in cursor:
        if len(rows) == request["rows"]:
            truncated = True
            break
        cells = [_cell(value, request["cell"]) for value in row]
        size += sum(len(value) if isinstance(value, str) else 24 for value in cells)
        if size > request["bytes"]:
            raise _TooLargeError
        rows.append(cells)
    columns = [column[0] for column in cursor.description or ()]
    return {"columns": columns, "rows": rows, "truncated": truncated}


def _cell(value: Any, most: int | None) -> Any:
    """Return a value as JSON has it: bytes as {"b": hexadecimal}; text and bytes cut if asked."""
    if isinstance(value, str):
        return value if most is None else value[:most]
    if isinstance(value, bytes):
        return {"b": (value if most is None else value[:most]).hex()}
    return value


def _explained(guard: Guard, error: Exception) -> dict[str, Any]:
    if guard.refused:
        return {"kind": "refused", "message": f"{guard.refused} is not allowed"}
    if guard.late:
        return {"kind": "timeout", "message": "the query did not end in time"}
    if getattr(error, "sqlite_errorname", "").startswith(_LIMIT_ERRORS):
        return {"kind": "limit", "message": str(error)}
    return {"kind": "error", "message": str(error)}


def _is_internal(table: str) -> bool:
    name = table.lower()
    return name.startswith(("sqlite_", "pragma_")) and name not in _READABLE_INTERNAL


_ACTIONS = {
    value: name.removeprefix("SQLITE_").replace("_", " ")
    for name, value in vars(sqlite3).items()
    if re.match(r"SQLITE_(CREATE|DROP|ALTER|AT|DET|DEL|INS|UPD|PRAGMA|TRANS|SAVE|REIND|ANALYZE)", name)
}


def _bound_memory(megabytes: int) -> None:
    if resource is None:
        return
    with suppress(OSError, ValueError):  # a smaller limit of the system's stays
        in_use = 0
        with suppress(OSError), open("/proc/self/statm", encoding="ascii") as file:
            in_use = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + (megabytes << 20),) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _bound_processor(seconds: float) -> None:
    """Let this process use the processor for so long from now on; the system ends it afterwards."""
    if resource is not None:
        with suppress(OSError, ValueError):
            most = resource.getrlimit(resource.RLIMIT_CPU)[1]
            resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 2, most))


def serve(megabytes: int) -> None:
    """Answer until the input ends."""
    _bound_memory(megabytes)
    sys.stdout.buffer.write(b"ready\n")
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _bound_processor(request["seconds"])
        try:
            reply = json.dumps(answer(request))
        except MemoryError:
            reply = json.dumps({"kind": "limit", "message": "it needs more memory than a query may have"})
        sys.stdout.buffer.write(reply.encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
