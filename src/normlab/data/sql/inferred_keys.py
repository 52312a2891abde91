"""Foreign keys that a database does not declare, inferred from names, types and values.

A column is taken to refer to another when its name says so (`customer_id`, `customerId` or `customer` for
`customers.id`, or the same telling name for a unique column, or for the first column of a table that declares no
primary key), the types agree, and every value looked at is found
there. A column may refer to its own table where its name says a role (`manager_id`, `parent`, `spouse`; `ROLES`).
Names alone are no evidence: a column without values refers to nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from normlab.data.sql.schema import Column, Schema, Table, split_words
from normlab.data.sql.sqlite import SQLITE_ERRORS, open_readonly
from normlab.data.sql.sqlite_schema import quoted

VALUES_LOOKED_AT = 1000
"""Distinct values of a referring column that must all be found."""
_MOST_STEPS = 50_000
"""Of SQLite's machine, in thousands, for one pair of columns: a pair that needs more is not inferred."""
_GENERAL = frozenset(("id", "key", "code", "no", "number", "uid", "uuid", "pk"))
"""Names that say what a column is, not of which table."""
ROLES = (
    ("manager", "boss", "supervisor", "superior", "mgr", "report", "reports", "reportsto"),
    ("parent",),
    ("mother", "mom", "mum"),
    ("father", "dad"),
    ("spouse", "husband", "wife", "partner"),
    ("mentor",),
    ("predecessor", "previous"),
    ("successor",),
    ("leader",),
)
"""Words for what a row is to another row of its own table; those of one line say the same."""
_ROLE_OF = {word: words[0] for words in ROLES for word in words}


def infer_keys(path: Path | str, schema: Schema) -> Schema:
    """Return the schema with inferred keys behind the declared ones, listed in `inferred_keys`.

    Args:
        path: the SQLite file that the schema describes; it is only read.
    Raises: `UserError` if the file cannot be opened.
    """
    with closing(open_readonly(path)) as connection:
        found = tuple(_supported(connection, schema, _candidates(schema)))
    return replace(schema, foreign_keys=(*schema.foreign_keys, *found), inferred_keys=found)


def _candidates(schema: Schema) -> Iterator[tuple[int, int]]:
    """Pairs of columns (referring, referred) whose names and types speak for a key, the best first for each."""
    declared = {child for child, _ in schema.foreign_keys}
    named: dict[str, list[int]] = {}
    for parent in _identifying(schema):
        for name in _names_for(schema, parent):
            named.setdefault(name, []).append(parent)
    heads = _heads(schema)
    for child, column in enumerate(schema.columns):
        if column.table < 0 or child in declared:
            continue
        for parent in dict.fromkeys(one for name in _called(column) for one in named.get(name, ())):
            other = schema.columns[parent]
            if other.table != column.table and other.type == column.type:
                yield child, parent
        for parent in heads.get(split_words(column.name), ()):
            if schema.columns[parent].table != column.table and schema.columns[parent].type == column.type:
                yield child, parent
        keys = [key for key in schema.primary_keys if schema.columns[key].table == column.table]
        if len(keys) == 1 and child not in keys and schema.columns[keys[0]].type == column.type and _is_role(column):
            yield child, keys[0]


def _heads(schema: Schema) -> dict[str, list[int]]:
    """Name -> first columns of that name, of tables that declare no primary key, where the name ends as keys do.

    In a file that says nothing of keys, `vehicle.cid` is `customer.cid`; `id` alone would be every table's.
    """
    keyed = {schema.columns[key].table for key in schema.primary_keys}
    heads: dict[str, list[int]] = {}
    for table in range(len(schema.tables)):
        columns = schema.columns_of(table)
        name = split_words(schema.columns[columns[0]].name) if columns and table not in keyed else ""
        if name.endswith(_ENDS) and name not in _GENERAL:
            heads.setdefault(name, []).append(columns[0])
    return heads


_ENDS = ("id", "no", "nr", "code", "key", "num")


def role_of(word: str) -> str:
    """Return the role that a word says ("boss": "manager"), "" for no role."""
    one = word if word in _ROLE_OF else word.removesuffix("s")
    return _ROLE_OF.get(one, "")


def _is_role(column: Column) -> bool:
    """Whether a name says a role and nothing else: `manager_id`, `reports to`, `mother`, not `manager_salary`."""
    words = [word for word in split_words(column.name).split() if word not in _GENERAL and word != "to"]
    return len(words) == 1 and bool(role_of(words[0]))


def _identifying(schema: Schema) -> Iterator[int]:
    """Columns that a key may refer to: a primary key of one column, else one with a general name."""
    keys: dict[int, list[int]] = {}
    for key in schema.primary_keys:
        keys.setdefault(schema.columns[key].table, []).append(key)
    for number, column in enumerate(schema.columns):
        own = keys.get(column.table, [])
        telling = {*_GENERAL, *_own_names(schema, number)}
        if own == [number] or (not own and not telling.isdisjoint(_called(column))):
            yield number


def _own_names(schema: Schema, column: int) -> list[str]:
    """`customer id` and the like for a column of customers."""
    tables = [form for name in _called(schema.tables[schema.columns[column].table]) for form in _singular(name)]
    return [f"{table} {general}" for table in tables for general in sorted(_GENERAL)]


def _names_for(schema: Schema, parent: int) -> Iterable[str]:
    """What a column that refers to `parent` may be called, in words."""
    names = _called(schema.columns[parent])
    tables = {form for name in _called(schema.tables[schema.columns[parent].table]) for form in _singular(name)}
    telling = {name for name in names if name not in _GENERAL and " " in name}
    return telling | {f"{table} {name}" for table in tables for name in names} | tables


def _called(one: Table | Column) -> tuple[str, ...]:
    """A name as it stands, in words, and with its abbreviations expanded."""
    return tuple(dict.fromkeys((split_words(one.name), one.natural.lower())))


def _singular(words: str) -> list[str]:
    """A table's words as they are, and with the last one in the singular."""
    forms = [words]
    if words.endswith("ies"):
        forms.append(words[:-3] + "y")
    if words.endswith("es"):
        forms.append(words[:-2])
    if words.endswith("s") and not words.endswith("ss"):
        forms.append(words[:-1])
    return forms


def _supported(
    connection: sqlite3.Connection, schema: Schema, candidates: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """The candidates that the values bear out, one for each referring column."""
    done: set[int] = set()
    for child, parent in candidates:
        if child not in done and _included(connection, schema, child, parent):
            done.add(child)
            yield child, parent


def _included(connection: sqlite3.Connection, schema: Schema, child: int, parent: int) -> bool:
    """Whether the referred column has no value twice, and all values looked at of the referring one, some at least."""
    (child_table, child_name), (parent_table, parent_name) = (
        (quoted(schema.tables[schema.columns[n].table].name), quoted(schema.columns[n].name)) for n in (child, parent)
    )
    sample = f"SELECT DISTINCT {child_name} AS v FROM {child_table} WHERE {child_name} IS NOT NULL"
    counts = (
        f"SELECT count(*), coalesce(sum(v NOT IN (SELECT {parent_name} FROM {parent_table} "
        f"WHERE {parent_name} IS NOT NULL)), 0) FROM ({sample} LIMIT {VALUES_LOOKED_AT})"
    )
    twice = f"SELECT count({parent_name}) - count(DISTINCT {parent_name}) FROM {parent_table}"
    steps = iter(range(_MOST_STEPS))
    connection.set_progress_handler(lambda: next(steps, None) is None, 1000)
    try:
        values, strange = connection.execute(counts).fetchone()
        if not values or strange:
            return False
        return parent in schema.primary_keys or connection.execute(twice).fetchone()[0] == 0
    except SQLITE_ERRORS:  # too long, damaged or a broken view: no evidence
        return False
    finally:
        connection.set_progress_handler(None, 0)
