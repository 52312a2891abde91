"""A database and SQL over it without names in quotes, from which a model learns: the gold parser of Spider reads none.

`"Full Name"` becomes `Full_Name`, whose words are the same; so what is learned about it holds for the column as it is
called.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path

from normlab.data.sql.schema import quote
from normlab.data.sql.sqlite_schema import quoted
from normlab.data.text.word_forms import fold

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?P<a>(?:[^"]|"")+)"|`(?P<b>[^`]+)`|\[(?P<c>[^]]+)\]""")
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite%'"


def make_names_plain(database: Path) -> dict[str, str]:
    """Rename the tables and columns of an SQLite file that SQL has to quote; return lower-case old name -> new name.

    What cannot be renamed (a column of a view, say) keeps its name.
    """
    renamed: dict[str, str] = {}
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        tables = [name for (name,) in connection.execute(_TABLES)]
        columns = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({quoted(table)})")] for table in tables
        }
        taken = {name.lower() for name in (*tables, *(column for listed in columns.values() for column in listed))}
        for table, listed in columns.items():
            for column in listed:
                if quote(column) != column:
                    new = renamed.get(column.lower()) or _plain(column, taken)
                    change = f"ALTER TABLE {quoted(table)} RENAME COLUMN {quoted(column)} TO {new}"
                    _rename(connection, change, column, new, renamed)
            if quote(table) != table:
                new = renamed.get(table.lower()) or _plain(table, taken)
                _rename(connection, f"ALTER TABLE {quoted(table)} RENAME TO {new}", table, new, renamed)
    return renamed


def with_plain_names(sql: str, renamed: Mapping[str, str]) -> str:
    """Return SQL with the new names, and without quotes around names that need none."""

    def plain(match: re.Match[str]) -> str:
        name = str(match["a"] or match["b"] or match["c"] or "").replace('""', '"')
        new = renamed.get(name.lower(), name)
        return new if name and quote(new) == new else match[0]

    return _TOKEN.sub(plain, sql)


def _rename(connection: sqlite3.Connection, change: str, old: str, new: str, renamed: dict[str, str]) -> None:
    with suppress(sqlite3.Error):  # a view that does not run, which SQLite would have to change too
        connection.execute(change)
        renamed[old.lower()] = new


def _plain(name: str, taken: set[str]) -> str:
    """Return a new name of the same words that needs no quotes."""
    ascii_only = name if name.isascii() else "_".join(map(fold, re.findall(r"\w+", name)))
    new = re.sub(r"[^A-Za-z0-9_]+", "_", ascii_only).strip("_") or "name"
    new = f"n_{new}" if new[0].isdigit() else new
    while quote(new) != new or new.lower() in taken:
        new += "_"
    taken.add(new.lower())
    return new
