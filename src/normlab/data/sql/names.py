"""Names of tables and columns as SQLite reads them.

A plain name is written bare, since the official evaluator takes everything in quotes for a value. Only what SQLite
would not read bare, such as `unit price` or `order`, is quoted.
"""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEVER_NAMES = """add all alter and as autoincrement between case check collate commit constraint create default
deferrable delete distinct drop else escape except exists foreign from group having in index insert intersect into is
isnull join limit not nothing notnull null on or order primary references returning select set table then to
transaction union unique update using values when where"""
_RESERVED = frozenset(_NEVER_NAMES.split())
"""Keywords that SQLite never takes for a name; it takes others where no keyword could stand."""
_CALLED = frozenset({"cast", "raise", "current_date", "current_time", "current_timestamp"})
"""Keywords that begin an expression: names of tables, but not of columns."""


def table_name(name: str) -> str:
    """Return a table's name as it stands in a query."""
    return name if _PLAIN.fullmatch(name) and name.lower() not in _RESERVED else _quoted(name)


def column_name(name: str) -> str:
    """Return a column's name as it stands in a query."""
    return _quoted(name) if name.lower() in _CALLED else table_name(name)


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
