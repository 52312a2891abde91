"""What an SQLite file says of its tables, columns and keys, and what of it cannot be read and why.

Files come from programs with modules, tokenizers and functions of their own, and views outlive their tables. What
SQLite cannot describe here no query could read either: it is left out and named, and the rest is used.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass, field

from normlab.data.sql.sqlite import SQLITE_ERRORS


@dataclass
class Described:
    """A database's description, in plain values.

    Attributes:
        tables: names of tables and views.
        columns: (number of its table, name, declared type) of each column, tables in order.
        primary: numbers of the columns of primary keys.
        foreign: (referring, referred) column numbers.
        left_out: a line for each table, view or key that cannot be used, with the reason.
    """

    tables: list[str] = field(default_factory=list)
    columns: list[tuple[int, str, str]] = field(default_factory=list)
    primary: list[int] = field(default_factory=list)
    foreign: list[tuple[int, int]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def describe(connection: sqlite3.Connection, *, official: bool = False) -> Described:
    """Describe a database.

    Args:
        official: list what Spider's script lists: every table, SQLite's own too, no views, no generated columns.
            Otherwise what a person would ask about: tables and views, nothing internal.
    Raises: sqlite3.Error if the schema table itself cannot be read.
    """
    described = Described()
    keys: list[list[int]] = []  # of each table, its primary key in the key's own order
    objects = _objects(connection, official=official)
    sizes = _sizes_of_views({name: sql for name, kind, sql in objects if kind == "view"})
    for name, kind, sql in objects:
        if sizes.get(name, 0) > _LARGEST_VIEW:
            described.left_out.append(
                f"view {one_line_name(name)}: with the views in it, it is more than {_LARGEST_VIEW}"
            )
            continue
        try:
            rows = connection.execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
        except SQLITE_ERRORS as error:
            described.left_out.append(f"{kind} {one_line_name(name)}: {error}")
            continue
        # Last field: 0 a plain column, 1 a virtual table's hidden one, 2 and 3 a generated one.
        columns = [row for row in rows if row[6] == 0 or (not official and row[6] in (2, 3))]
        if not columns:
            described.left_out.append(f"{kind} {one_line_name(name)}: it has no columns")
            continue
        first = len(described.columns)
        untyped = "text" if kind == "virtual table" and _is_full_text(sql) else ""
        described.columns += [(len(described.tables), str(row[1]), row[2] or untyped) for row in columns]
        described.primary += [first + index for index, row in enumerate(columns) if row[5]]
        in_key_order = sorted((row[5], first + index) for index, row in enumerate(columns) if row[5])
        keys.append([column for _, column in in_key_order])
        described.tables.append(name)
    _add_foreign_keys(connection, described, keys)
    if not official:
        described.left_out += _shadows_named(connection)
    return described


def quoted(name: str) -> str:
    """Return a name in double quotes, as SQL."""
    return '"' + name.replace('"', '""') + '"'


def one_line_name(name: str) -> str:
    """Return a name for a message of one line, in quotes, line breaks and the like escaped."""
    return repr(name[:80])


def folded(name: str) -> str:
    """Return a name as SQLite compares it: upper and lower case are alike in ASCII, and only there."""
    return name.translate(_LOWER)


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_LARGEST_VIEW = 200  # views; SQLite itself joins 64 tables at most
_SHADOWS = ("data", "idx", "content", "docsize", "config", "node", "parent", "rowid", "segments", "segdir", "stat")
"""Suffixes of the tables in which full-text and R-tree modules keep their own data."""


def _objects(connection: sqlite3.Connection, *, official: bool) -> list[tuple[str, str, str]]:
    """Name, kind and SQL of what is described, in the order of the schema table."""
    rows = [
        (name, kind, sql if isinstance(sql, str) else "")
        for name, kind, sql in connection.execute("SELECT name, type, sql FROM sqlite_master")
        if isinstance(name, str) and kind in ("table", "view")
    ]
    rows = list({folded(row[0]): row for row in rows}.values())  # a damaged schema table may hold one twice
    virtual = {folded(name) for name, _, sql in rows if re.match(r"\s*create\s+virtual\s", sql, re.IGNORECASE)}
    if official:
        return [(name, kind, sql) for name, kind, sql in rows if kind == "table"]
    sizes = _sizes_of_views({name: sql for name, kind, sql in rows if kind == "view"})
    # Listing tables writes views out too; without the list, shadow tables are known by their names.
    shadows = _shadow_tables(connection) if max(sizes.values(), default=0) <= _LARGEST_VIEW else set()
    internal = shadows | {f"{name}_{suffix}" for name in virtual for suffix in _SHADOWS}
    return [
        (name, "virtual table" if folded(name) in virtual else kind, sql)
        for name, kind, sql in rows
        if folded(name) not in internal and not folded(name).startswith("sqlite_")
    ]


def _sizes_of_views(views: dict[str, str]) -> dict[str, int]:
    """Return name -> the number of views that a query to it stands for, itself included.

    SQLite writes views out before it runs anything: forty views, each of twice the one before, are 2^40, and nothing
    interrupts it. A view's SQL is searched for the names of the others; one that it only mentions counts too.
    """
    if not views:
        return {}
    own = {folded(name): name for name in views}
    names = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(own, key=len, reverse=True)))})(?!\w)")
    inner = {
        name: [own[each] for each in names.findall(folded(sql)) if own[each] != name] for name, sql in views.items()
    }
    sizes = dict.fromkeys(views, 1)
    for _ in range(_DEEPEST_VIEW):
        sizes = {name: min(1 + sum(sizes[each] for each in inner[name]), _LARGEST_VIEW + 1) for name in views}
    return sizes


_DEEPEST_VIEW = 20  # rounds: doubling reaches the bound in ten


def _shadow_tables(connection: sqlite3.Connection) -> set[str]:
    """Names of tables that SQLite knows as a module's own; older ones than 3.37 know none."""
    rows = connection.execute("PRAGMA table_list").fetchall()
    return {folded(row[1]) for row in rows if row[2] == "shadow"}


def _shadows_named(connection: sqlite3.Connection) -> list[str]:
    """A line for each virtual table that keeps its data in tables of its own."""
    names = [name for (name,) in connection.execute(_TABLES) if isinstance(name, str)]
    lines = []
    for (virtual,) in connection.execute(f"{_TABLES} AND rootpage = 0").fetchall():
        own = {folded(f"{virtual}_{suffix}") for suffix in _SHADOWS}
        if shadows := [name for name in names if folded(name) in own]:
            lines.append(f"tables {', '.join(map(one_line_name, shadows))}: the data of {one_line_name(virtual)}")
    return lines


_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"


def _is_full_text(sql: str) -> bool:
    return re.search(r"\busing\s+fts\d", sql, re.IGNORECASE) is not None


def _add_foreign_keys(connection: sqlite3.Connection, described: Described, keys: list[list[int]]) -> None:
    """Pairs of columns; a key that names no column refers to the primary key, broken ones are named."""
    number = {(table, folded(column)): index for index, (table, column, _) in enumerate(described.columns)}
    tables = {folded(name): index for index, name in enumerate(described.tables)}
    for table, name in enumerate(described.tables):
        try:
            rows = connection.execute(f"PRAGMA foreign_key_list({quoted(name)})").fetchall()
        except SQLITE_ERRORS as error:
            described.left_out.append(f"keys of table {one_line_name(name)}: {error}")
            continue
        for _, position, target_name, column, target_column, *_ in rows:
            target = tables.get(folded(target_name), -1)
            source = number.get((table, folded(column)))
            if target_column:
                referred = number.get((target, folded(target_column)))
            else:
                referred = keys[target][position] if target >= 0 and position < len(keys[target]) else None
            if source is not None and referred is not None:
                described.foreign.append((source, referred))
            else:
                aim = f"{target_name}.{target_column}" if target_column else target_name
                described.left_out.append(
                    f"key {one_line_name(f'{name}.{column}')}: refers to {one_line_name(aim)}, which is not there"
                )
