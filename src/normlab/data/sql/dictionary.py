"""What people call the tables, columns and values of a database: a small YAML file that its owner writes.

    item:
      synonyms: [goods, products]
      columns:
        c_17: {synonyms: [price], description: in euros}
        kind:
          values: {P: [paper goods], E: [electronics]}
    examples:
    - question: Which goods are sold out?
      sql: SELECT name FROM item WHERE c_9 = 0

A question's words are matched with synonyms as with the names themselves, and with a description's words as with parts
of a name. `examples`, where it is a list, holds pairs (`pairs.py`), not a table of that name.
`first_dictionary.py` makes a file to fill in.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from normlab.data.sql.cells import Cell
from normlab.data.sql.pairs import Pair, pair_of
from normlab.data.sql.schema import Schema
from normlab.data.text.word_forms import words_of
from normlab.errors import UserError, did_you_mean, shortened
from normlab.yaml_file import read_yaml

SUFFIX, EXAMPLES = ".normlab.yaml", "examples"
_TABLE, _COLUMN = ("description", "synonyms", "columns"), ("description", "synonyms", "values")


@dataclass(frozen=True)
class FurtherNames:
    """What else the tables, columns and cells of one schema are called.

    Attributes:
        tables, columns: synonyms of each, in the schema's order (`*` included).
        table_parts, column_parts: the descriptions.
        cells: synonym and the cell that it stands for.
    """

    tables: tuple[tuple[str, ...], ...]
    columns: tuple[tuple[str, ...], ...]
    table_parts: tuple[str, ...]
    column_parts: tuple[str, ...]
    cells: tuple[tuple[str, Cell], ...]


@dataclass(frozen=True)
class Entry:
    """What is said of a table or a column; `values` and `columns` are empty where they do not apply."""

    description: str
    synonyms: tuple[str, ...]
    columns: Mapping[str, Entry]
    values: tuple[tuple[str, str, bool], ...]  # synonym, the cell's text, whether it is a number


@dataclass(frozen=True)
class Dictionary:
    """A data dictionary: lower-case table name -> its entry, and questions with their SQL."""

    path: Path
    tables: Mapping[str, Entry]
    examples: tuple[Pair, ...] = ()

    def check(self, schema: Schema) -> None:
        """Raise `UserError` with the nearest name for a table or column that the schema lacks."""
        tables = {table.name.lower(): number for number, table in enumerate(schema.tables)}
        for name, entry in self.tables.items():
            if name not in tables:
                known = [table.name for table in schema.tables]
                raise UserError(f"{self.path}: there is no table {shortened(name)}: {did_you_mean(name, known)}")
            known = [schema.columns[number].name for number in schema.columns_of(tables[name])]
            for column in entry.columns:
                if column not in {one.lower() for one in known}:
                    raise UserError(
                        f"{self.path}: table {name} has no column {shortened(column)}: {did_you_mean(column, known)}"
                    )

    def without_values(self) -> Dictionary:
        """Return it without synonyms of values, for a model that links names only."""
        tables = {
            name: replace(entry, columns={column: replace(one, values=()) for column, one in entry.columns.items()})
            for name, entry in self.tables.items()
        }
        return replace(self, tables=tables)

    def names_of(self, schema: Schema) -> FurtherNames:
        """Return what it says of a schema's tables and columns; of others it may say what it likes."""
        tables = [self.tables.get(table.name.lower(), _NOTHING) for table in schema.tables]
        columns = [
            tables[column.table].columns.get(column.name.lower(), _NOTHING) if column.table >= 0 else _NOTHING
            for column in schema.columns
        ]
        return FurtherNames(
            tuple(entry.synonyms for entry in tables),
            tuple(entry.synonyms for entry in columns),
            tuple(entry.description for entry in tables),
            tuple(entry.description for entry in columns),
            tuple(
                (synonym, Cell(number, text, is_number))
                for number, entry in enumerate(columns)
                for synonym, text, is_number in entry.values
            ),
        )


_NOTHING = Entry("", (), {}, ())


def dictionary_beside(database: Path) -> Path | None:
    """Return DATABASE.normlab.yaml, beside a database's file or folder, if there is one."""
    named = database if database.name not in ("", "..") else Path(os.path.abspath(database))
    path = named.with_name(named.name + SUFFIX) if named.name else named
    return path if path != named and path.is_file() else None


def read_dictionary(path: Path) -> Dictionary:
    """Read a dictionary.

    Raises: UserError naming the file, the line of the table, and the key that is unknown or has a wrong value.
    """
    content = read_yaml(path)
    tables: dict[str, Entry] = {}
    examples: list[Pair] = []
    for name, value in content.items():
        if name == EXAMPLES and isinstance(value, list):
            lines = content.item_lines[name]
            examples = [pair_of(one, f"{path}:{line}") for one, line in zip(value, lines, strict=True)]
            continue
        place = f"{path}:{content.lines.get(str(name), 1)}: {shortened(name)}"
        tables[_new_name(name, tables, place)] = _entry(value, place, _TABLE)
    return Dictionary(path, tables, tuple(examples))


def _new_name(name: Any, known: Container[str], place: str) -> str:
    """Return a name in lower case, in which SQLite's names are equal."""
    if not isinstance(name, str | int | float) or isinstance(name, bool):
        raise UserError(f"{place}: not a name: write it in quotes")
    lower = str(name).lower()
    if lower in known:
        raise UserError(f"{place}: stands twice: remove one")
    return lower


def _entry(value: Any, place: str, keys: Sequence[str]) -> Entry:
    value = {} if value is None else value
    if not isinstance(value, dict):
        raise UserError(f"{place}: expected {', '.join(keys)} below it, found {shortened(value)}")
    for key in value:
        if key not in keys:
            raise UserError(f"{place}: unknown key {shortened(key)}: {did_you_mean(str(key), keys)}")
    description = value.get("description") or ""
    if not isinstance(description, str):
        raise UserError(f"{place}: description: expected a text, found {shortened(description)}")
    columns: dict[str, Entry] = {}
    for name, column in _mapping(value.get("columns"), f"{place}: columns").items():
        below = f"{place}: column {shortened(name)}"
        columns[_new_name(name, columns, below)] = _entry(column, below, _COLUMN)
    values = tuple(
        (synonym, *_cell(cell, place))
        for cell, names in _mapping(value.get("values"), f"{place}: values").items()
        for synonym in _synonyms(names, f"{place}: value {shortened(cell)}")
    )
    return Entry(description, _synonyms(value.get("synonyms"), f"{place}: synonyms"), columns, values)


def _mapping(value: Any, place: str) -> dict[Any, Any]:
    if value is None or isinstance(value, dict):
        return value or {}
    raise UserError(f"{place}: expected `name: ...` lines, found {shortened(value)}")


def _synonyms(value: Any, place: str) -> tuple[str, ...]:
    """One text, or a list of texts; each has a word."""
    listed = [] if value is None else value if isinstance(value, list) else [value]
    for one in listed:
        if not isinstance(one, str | int | float) or isinstance(one, bool) or not words_of(str(one)):
            raise UserError(f"{place}: {shortened(one)} is no name: give words, in quotes if need be")
    return tuple(map(str, listed))


def _cell(value: Any, place: str) -> tuple[str, bool]:
    """Return a value's text as SQL has it, and whether it is a number."""
    if isinstance(value, str):
        return value, False
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.15g}", True
    raise UserError(f"{place}: the value {shortened(value)}: write it in quotes")
