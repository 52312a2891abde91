"""What a text-to-SQL model and its evaluator know of a database: tables, columns, types, keys, natural names.

A `Schema` comes from an entry of Spider's `tables.json` or straight from an SQLite file, whatever its
names: spaces, quotes, keywords. Column 0 is `*`, as in `tables.json`, so that the column numbers of both
agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from normlab.data.sql.abbreviations import in_whole_words
from normlab.data.sql.column_types import CATEGORIES, type_category
from normlab.data.sql.schema_entry import check_entry
from normlab.data.sql.sqlite import SQLITE_ERRORS, open_readonly, unreadable
from normlab.data.sql.sqlite_schema import describe, one_line_name, quoted
from normlab.errors import UserError
from normlab.json_file import read_json


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
    """A database's tables, columns and keys. Keys are column numbers; column 0 is `*`.

    Attributes:
        left_out: a line for each table, view or key of a file that could not be read, with the reason.
        inferred_keys: those of `foreign_keys` that nothing declares; None where none were looked for.
    """

    db_id: str
    tables: tuple[Table, ...]
    columns: tuple[Column, ...]
    primary_keys: tuple[int, ...]
    foreign_keys: tuple[tuple[int, int], ...]
    left_out: tuple[str, ...] = field(default=(), repr=False, compare=False)
    inferred_keys: tuple[tuple[int, int], ...] | None = field(default=None, repr=False, compare=False)

    @staticmethod
    def from_entry(entry: Mapping[str, Any], source: str = "schema") -> Schema:
        """Build it from one entry of `tables.json`.

        Args:
            source: where the entry stands, for messages.
        Raises: `UserError` naming the database and the field that is missing or wrong.
        """
        check_entry(entry, source)
        tables = map(_table, entry["table_names_original"], entry["table_names"])
        names = zip(entry["column_names_original"], entry["column_names"], entry["column_types"], strict=True)
        columns = [
            Column(table, name, words if name == "*" else _words(words, name), _category(kind))
            for (table, name), (_, words), kind in names
        ]
        primary = _flatten(entry["primary_keys"])
        foreign = tuple((int(a), int(b)) for a, b in entry["foreign_keys"])
        return Schema(entry["db_id"], tuple(tables), tuple(columns), tuple(primary), foreign)

    @staticmethod
    def from_sqlite(path: Path | str, db_id: str | None = None, *, official: bool = False) -> Schema:
        """Read it from a database file; natural names are the names, split into words, abbreviations expanded.

        Args:
            path: the SQLite file.
            db_id: the database's name; the file's stem if None.
            official: list what Spider's script lists: tables with `sqlite_sequence`, no views. Otherwise what
                a person would ask about: tables and views, nothing internal.
        Raises: `UserError` if the file is missing or no database, or, unless `official`, if no table of it can be read.
        """
        with closing(open_readonly(path)) as connection:
            try:
                described = describe(connection, official=official)
            except SQLITE_ERRORS as error:
                raise unreadable(Path(path), error) from None
        if not described.tables and not official:
            why = f" ({'; '.join(described.left_out[:3])})" if described.left_out else ""
            raise UserError(f"{path} holds no table that can be read{why}: nothing can be asked of it")
        columns = [Column(-1, "*", "*", "text")]
        said = {name: in_whole_words(_words("", name)) for name in {name for _, name, _ in described.columns}}
        columns += [Column(table, name, said[name], type_category(kind)) for table, name, kind in described.columns]
        return Schema(
            db_id or Path(path).stem,
            tuple(Table(name, in_whole_words(_words("", name), table=True)) for name in described.tables),
            tuple(columns),
            tuple(column + 1 for column in described.primary),
            tuple((source + 1, target + 1) for source, target in described.foreign),
            tuple(described.left_out),
        )

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

    Raises: `UserError` naming the file, the database and the field, if the file is missing or anything in it is wrong.
    """
    file = Path(path)
    if not file.exists():
        raise UserError(f"no schema file at {file}: give the path of tables.json")
    entries = read_json(file)
    if not isinstance(entries, list):
        raise UserError(f"{file} holds no list of databases: is this tables.json?")
    schemas: dict[str, Schema] = {}
    for number, entry in enumerate(entries):
        schema = Schema.from_entry(entry, f"{file}[{number}]" if _unnamed(entry) else str(file))
        if schema.db_id in schemas:
            raise UserError(f"{file}: database {one_line_name(schema.db_id)} is described twice: remove one")
        if schema.db_id in (".", "..") or re.search(r"[/\\\0]", schema.db_id):
            raise UserError(f"{file}: database {one_line_name(schema.db_id)}: db_id names a folder: use no / or \\")
        schemas[schema.db_id] = schema
    return schemas


def quote(name: str) -> str:
    """Return an identifier as SQL, quoted only where SQLite needs it."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in _KEYWORDS
    return name if plain else quoted(name)


@lru_cache(maxsize=65536)
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


def _unnamed(entry: Any) -> bool:
    return not (isinstance(entry, Mapping) and isinstance(entry.get("db_id"), str))


def _table(name: str, words: str) -> Table:
    return Table(name, _words(words, name))


def _words(words: str, name: str) -> str:
    """Words for people, from the name where none are given; every name has some."""
    return words if words.strip() else split_words(name).strip() or "unnamed"


def _category(kind: str) -> str:
    """One of Spider's types as it is; others, such as BIRD's `integer`, by what they declare."""
    return kind if kind in CATEGORIES else type_category(kind)


def _flatten(keys: list[Any]) -> list[int]:
    """Newer releases give a compound primary key as a list of its columns."""
    return [int(key) for item in keys for key in (item if isinstance(item, list) else [item])]
