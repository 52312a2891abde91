"""What a text-to-SQL model and its evaluator know of a database: tables, columns, types, keys, natural names.

A `Schema` comes from an entry of Spider's `tables.json` or straight from an SQLite file, whatever its
names: spaces, quotes, keywords. Column 0 is `*`, as in `tables.json`, so that the column numbers of both
agree.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from normlab.data.sqlite import open_readonly
from normlab.errors import UserError


@dataclass(frozen=True)
class Column:
    """A column: index of its table (-1 for `*`), name in the database, words for people, type.

    `type` is one of Spider's: text, number, time, boolean, others.
    """

    table: int
    name: str
    natural: str
    type: str


@dataclass(frozen=True)
class Table:
    """A table: its name in the database and its words for people."""

    name: str
    natural: str


@dataclass(frozen=True)
class Schema:
    """A database's tables, columns and keys. Keys are column numbers; column 0 is `*`."""

    db_id: str
    tables: tuple[Table, ...]
    columns: tuple[Column, ...]
    primary_keys: tuple[int, ...]
    foreign_keys: tuple[tuple[int, int], ...]

    @staticmethod
    def from_entry(entry: Mapping[str, Any]) -> Schema:
        """Build it from one entry of `tables.json`.

        Raises: `UserError` naming the field that is missing.
        """
        try:
            tables = tuple(map(Table, entry["table_names_original"], entry["table_names"]))
            names = zip(entry["column_names_original"], entry["column_names"], entry["column_types"], strict=True)
            columns = tuple(Column(int(t), str(name), str(words[1]), kind) for (t, name), words, kind in names)
            primary = tuple(_flatten(entry["primary_keys"]))
            foreign = tuple((int(a), int(b)) for a, b in entry["foreign_keys"])
            return Schema(str(entry["db_id"]), tables, columns, primary, foreign)
        except KeyError as error:
            place = entry.get("db_id", "?")
            raise UserError(f"schema of database '{place}' lacks the field {error}: is this tables.json?") from None

    @staticmethod
    def from_sqlite(path: Path | str, db_id: str | None = None, *, official: bool = False) -> Schema:
        """Read it from a database file; natural names are the names, split into words.

        Args:
            path: the SQLite file.
            db_id: the database's name; the file's stem if None.
            official: list what Spider's script lists: tables with `sqlite_sequence`, no views. Otherwise what
                a person would ask about: tables and views, nothing internal.
        Raises: `UserError` if the file is missing or no database.
        """
        which = "type = 'table'" if official else "type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        with closing(open_readonly(path)) as connection:
            names = [name for (name,) in connection.execute(f"SELECT name FROM sqlite_master WHERE {which}")]
            return _read_schema(connection, db_id or Path(path).stem, names)

    def entry(self) -> dict[str, Any]:
        """Return the schema as an entry of `tables.json`, which `from_entry` reads back to an equal one."""
        return {
            "db_id": self.db_id,
            "table_names": [table.natural for table in self.tables],
            "table_names_original": [table.name for table in self.tables],
            "column_names": [[column.table, column.natural] for column in self.columns],
            "column_names_original": [[column.table, column.name] for column in self.columns],
            "column_types": [column.type for column in self.columns],
            "primary_keys": list(self.primary_keys),
            "foreign_keys": [list(pair) for pair in self.foreign_keys],
        }

    @cached_property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Lower-case table name -> its lower-case column names, in order."""
        names: dict[str, list[str]] = {table.name.lower(): [] for table in self.tables}
        for column in self.columns:
            if column.table >= 0:
                names[self.tables[column.table].name.lower()].append(column.name.lower())
        return {table: tuple(columns) for table, columns in names.items()}

    def columns_of(self, table: int) -> list[int]:
        """Return the numbers of a table's columns."""
        return [index for index, column in enumerate(self.columns) if column.table == table]


def read_tables(path: Path | str) -> dict[str, Schema]:
    """Read Spider's `tables.json`: db_id -> `Schema`.

    Raises: `UserError` if the file is missing, is no JSON list, or an entry lacks a field.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"no schema file at {file}: give the path of tables.json")
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON ({error}): fetch tables.json again") from None
    if not isinstance(entries, list):
        raise UserError(f"{file} holds no list of databases: is this tables.json?")
    return {entry["db_id"]: Schema.from_entry(entry) for entry in entries}


def quote(name: str) -> str:
    """Return an identifier as SQL, quoted only where SQLite needs it."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in _KEYWORDS
    return name if plain else _always_quote(name)


def split_words(name: str) -> str:
    """Return a database name as lower-case words: `Stu_ID` and `stuId` -> "stu id"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\W_]+", spaced)).strip().lower() or name.lower()


_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        """
        add all alter and as autoincrement between case cast check collate commit constraint create cross
        current_date current_time current_timestamp default deferrable delete distinct drop else escape
        except exists foreign from full group having in index inner insert intersect into is isnull join
        left limit natural not nothing notnull null on or order outer primary raise references returning
        right select set table then to transaction union unique update using values when where
        """,
    )
)


def _flatten(keys: list[Any]) -> list[int]:
    """Newer releases give a compound primary key as a list of its columns."""
    return [int(key) for item in keys for key in (item if isinstance(item, list) else [item])]


def _always_quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _read_schema(connection: sqlite3.Connection, db_id: str, names: list[str]) -> Schema:
    columns = [Column(-1, "*", "*", "text")]
    primary: list[int] = []
    for table, name in enumerate(names):
        for _, column, kind, _, _, key in connection.execute(f"PRAGMA table_info({_always_quote(name)})"):
            if key:
                primary.append(len(columns))
            columns.append(Column(table, column, split_words(column), _plain_type(kind)))
    tables = tuple(Table(name, split_words(name)) for name in names)
    foreign = _foreign_keys(connection, names, columns, primary)
    return Schema(db_id, tables, tuple(columns), tuple(primary), tuple(foreign))


def _foreign_keys(
    connection: sqlite3.Connection, names: list[str], columns: list[Column], primary: list[int]
) -> list[tuple[int, int]]:
    """Pairs (referring, referred); a key without a column refers to the primary key, broken ones drop out."""
    number = {(column.table, column.name.lower()): index for index, column in enumerate(columns)}
    tables = {name.lower(): index for index, name in enumerate(names)}
    primary_of = {columns[index].table: index for index in reversed(primary)}
    pairs = []
    for table, name in enumerate(names):
        for row in connection.execute(f"PRAGMA foreign_key_list({_always_quote(name)})"):
            target = tables.get(row[2].lower(), -1)
            source = number.get((table, row[3].lower()))
            aim = number.get((target, row[4].lower())) if row[4] else primary_of.get(target)
            if source is not None and aim is not None:
                pairs.append((source, aim))
    return pairs


def _plain_type(declared: str) -> str:
    """Spider's five types from a declared one."""
    kind = declared.lower()
    if any(word in kind for word in ("int", "real", "floa", "doub", "num", "dec", "year")):
        return "number"
    if any(word in kind for word in ("date", "time")):
        return "time"
    if "bool" in kind or kind == "bit":
        return "boolean"
    return "text" if any(word in kind for word in ("char", "text", "clob")) else "others"
