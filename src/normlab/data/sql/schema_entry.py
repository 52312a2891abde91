"""Checks one database's entry of a `tables.json`, so that whoever uses it afterwards can rely on every number in it.

These files are written by hand and by scripts of many projects. What is wrong is said with its place:
`tables.json: database 'shop': column_names_original[3]: names table 7, but there are 2`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from normlab.data.sql.sqlite_schema import folded, one_line_name
from normlab.errors import UserError
from normlab.plurals import plural

_FIELDS = (
    "db_id",
    "table_names_original",
    "table_names",
    "column_names_original",
    "column_names",
    "column_types",
    "primary_keys",
    "foreign_keys",
)


def check_entry(entry: Any, source: str) -> None:
    """Check that an entry has all fields, with values of the right kind, of the same number, and within range.

    Args:
        source: where it stands, for the message.
    Raises: `UserError`, one line with the database and the field.
    """
    if not isinstance(entry, Mapping):
        raise UserError(f"{source}: holds {_kind(entry)} where an object that describes a database is wanted")
    db_id = entry.get("db_id")
    if "db_id" in entry and not (isinstance(db_id, str) and db_id.strip()):
        raise UserError(f"{source}: db_id: is {_kind(db_id)}, but it names a database: write a text")
    _Entry(entry, f"{source}: database {one_line_name(db_id)}" if isinstance(db_id, str) else source).check()


class _Entry:
    """The checks of one entry; `place` begins every message."""

    def __init__(self, entry: Mapping[str, Any], where: str) -> None:
        self.entry, self.place = entry, where

    def check(self) -> None:
        for name in _FIELDS:
            if name not in self.entry:
                raise UserError(f"{self.place} lacks the field '{name}': is this tables.json?")
        tables = self.texts("table_names_original")
        if not tables:
            raise self.wrong("table_names_original", "names no table")
        self.same_length("table_names", self.texts("table_names"), "table_names_original", tables)
        self.distinct("table_names_original", tables)
        columns = self.columns("column_names_original", len(tables))
        self.same_length("column_names", self.columns("column_names", len(tables)), "column_names_original", columns)
        self.same_length("column_types", self.texts("column_types"), "column_names_original", columns)
        for index, key in enumerate(self.list("primary_keys")):
            for column in key if isinstance(key, list) else [key]:
                self.column(f"primary_keys[{index}]", column, len(columns))
        for index, pair in enumerate(self.list("foreign_keys")):
            if not isinstance(pair, list) or len(pair) != 2:
                raise self.wrong(f"foreign_keys[{index}]", f"is {_kind(pair)}, not a pair of column numbers")
            for column in pair:
                self.column(f"foreign_keys[{index}]", column, len(columns))

    def wrong(self, field: str, problem: str) -> UserError:
        return UserError(f"{self.place}: {field}: {problem}: correct the file, or fetch it again")

    def list(self, name: str) -> Sequence[Any]:
        value = self.entry[name]
        if not isinstance(value, list | tuple):
            raise self.wrong(name, f"is {_kind(value)}, not a list")
        return value

    def texts(self, name: str) -> Sequence[str]:
        values = self.list(name)
        for index, value in enumerate(values):
            self.text(f"{name}[{index}]", value)
        return values

    def text(self, field: str, value: Any) -> None:
        if not isinstance(value, str):
            raise self.wrong(field, f"is {_kind(value)}, not a text")
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise self.wrong(field, "holds a NUL or half a surrogate pair, which no name has")

    def columns(self, name: str, tables: int) -> Sequence[Any]:
        columns = self.list(name)
        for index, column in enumerate(columns):
            field = f"{name}[{index}]"
            if not isinstance(column, list | tuple) or len(column) != 2:
                raise self.wrong(field, f"is {_kind(column)}, not a pair [table, name]")
            table, words = column
            if not _is_number(table):
                raise self.wrong(field, f"names its table by {_kind(table)}, not by a whole number")
            if index and not 0 <= table < tables:
                raise self.wrong(field, f"is of table {table}, but there are {tables}, counted from 0")
            self.text(field, words)
        if not columns or columns[0][0] != -1 or columns[0][1] != "*":
            raise self.wrong(f"{name}[0]", 'is not [-1, "*"], with which the list begins')
        return columns

    def column(self, field: str, value: Any, columns: int) -> None:
        if not _is_number(value):
            raise self.wrong(field, f"is {_kind(value)}, not the number of a column")
        if not 1 <= value < columns:
            raise self.wrong(field, f"is column {value}, but they go from 1 to {columns - 1}")

    def same_length(self, name: str, values: Sequence[Any], other: str, others: Sequence[Any]) -> None:
        if len(values) != len(others):
            raise self.wrong(name, f"has {plural(len(values), 'entry', 'entries')}, but {other} has {len(others)}")

    def distinct(self, name: str, values: Sequence[str]) -> None:
        seen: dict[str, int] = {}
        for index, value in enumerate(values):
            first = seen.setdefault(folded(value), index)
            if first != index:
                raise self.wrong(f"{name}[{index}]", f"{one_line_name(value)} is there already, at [{first}]")


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a whole number" if isinstance(value, int) else "a fraction")
