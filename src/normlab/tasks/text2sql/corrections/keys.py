"""Which of several keys, or columns alike, a value belongs to: flights *from* Paris, *to* Rome, their *home* team.

The grammar has no ON, so the decoder cannot choose between `flight.origin` and `flight.destination`. The words beside
the value do: those of the columns' names, or a direction, of which the nearest counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from normlab.data.sql.schema import Schema
from normlab.data.text.word_forms import stem, words_of
from normlab.tasks.text2sql.corrections.clauses import Clauses, Condition, column_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.grammar.automaton import CLOSE, OPEN

_AWAY = "from origin source departure depart start leave begin out sender pickup takeoff export outgoing"
_TOWARD = (
    "to into toward towards destination dest target arrival arrive arriving land landing reach end receiver incoming "
    "import bound"
)
_DIRECTIONS = tuple(frozenset(map(stem, words.split())) for words in (_AWAY, _TOWARD))
_BEFORE, _AFTER = 7, 5
"""Words before and behind a value that may say where it belongs."""


def in_direction(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Compare a value with the column of its own table that the words beside it mean, of two that hold it."""
    where = tuple(_turned(condition, evidence) for condition in clauses.where)
    return replace(clauses, where=where)


def _turned(condition: Condition, evidence: Evidence) -> Condition:
    column = condition.column
    if column is None or condition.comparison != "=" or len(condition.constants) != 1:
        return condition
    table = evidence.schema.columns[column].table
    for value in evidence.values_of(condition.constants[0]):
        rivals = [c for c in _held(evidence, value.start, value.end) if evidence.schema.columns[c].table == table]
        meant = meant_column(evidence, value.start, value.end, rivals) if column in rivals else None
        if meant is not None:
            return replace(condition, unit=column_unit(meant))
    return condition


def _held(evidence: Evidence, start: int, end: int) -> list[int]:
    """Columns with a cell that the words are, in any spelling."""
    return sorted({c for v in evidence.linked.values if (v.start, v.end) == (start, end) for c in v.columns})


def meant_keys(clauses: Clauses, evidence: Evidence) -> list[tuple[int, int]]:
    """Return (place of a condition in WHERE, referring column) where words say which of several keys it is about."""
    found = []
    for index, condition in enumerate(clauses.where):
        column = condition.column
        if column is None or not condition.constants:
            continue
        keys = [child for child, _ in _rivals(clauses, evidence.schema, evidence.schema.columns[column].table)]
        spans = {(v.start, v.end) for v in evidence.values_of(condition.constants[0])}
        if len(keys) > 1 and len(spans) == 1:
            meant = meant_column(evidence, *spans.pop(), keys)
            if meant is not None:
                found.append((index, meant))
    return found


def by_its_key(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Conditions about different keys to one table ("from Paris to Rome") as sub-queries, one for each key."""
    meant = meant_keys(clauses, evidence)
    if len({key for _, key in meant}) < 2 or not clauses.only_and:
        return None
    where = list(clauses.where)
    parents = dict(evidence.schema.foreign_keys)
    for index, key in meant:
        parent = parents[key]
        inner = Clauses((evidence.schema.columns[parent].table,), (column_unit(parent),), (where[index],)).actions()[
            :-1
        ]
        where[index] = Condition(column_unit(key), "in", ((OPEN, *inner, CLOSE),))
    tables = {evidence.schema.columns[parents[key]].table for _, key in meant}
    after = replace(clauses, where=tuple(where))
    units = (*after.select, *after.group, *after.order)
    columns = [int(text) for unit in units for kind, text in unit if kind == "column"]
    columns += [one.column for one in after.where if one.column is not None]
    outside = {evidence.schema.columns[column].table for column in columns}
    kept = tuple(table for table in clauses.tables if table not in tables or table in outside)
    return replace(after, tables=kept or clauses.tables)


def rival_keys(clauses: Clauses, schema: Schema) -> list[tuple[int, int]]:
    """Return the keys of which a query's join takes one, where there are several between two of its tables."""
    return [pair for table in clauses.tables for pair in _rivals(clauses, schema, table)]


def _rivals(clauses: Clauses, schema: Schema, parent_table: int) -> list[tuple[int, int]]:
    for table in clauses.tables:
        keys = [
            (a, b)
            for a, b in schema.foreign_keys
            if schema.columns[a].table == table and schema.columns[b].table == parent_table and table != parent_table
        ]
        if len(keys) > 1 and parent_table in clauses.tables:
            return keys
    return []


def meant_column(evidence: Evidence, start: int, end: int, columns: Sequence[int]) -> int | None:
    """Return the one of some columns that the words nearest to [start, end) name, None where they name none alone."""
    if len(columns) < 2:
        return None
    names = {column: {stem(word) for word in words_of(evidence.schema.columns[column].natural)} for column in columns}
    shared = set.intersection(*names.values())
    for place in _near(start, end, len(evidence.words)):
        said = stem(evidence.words[place])
        alike = next((words for words in _DIRECTIONS if said in words), frozenset((said,)))
        fitting = [column for column in columns if (names[column] - shared) & (alike | {said})]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _near(start: int, end: int, count: int) -> Iterator[int]:
    """Places beside a span, the nearest first, those before it earlier than those behind."""
    for distance in range(1, _BEFORE + 1):
        if start - distance >= 0:
            yield start - distance
        if distance <= _AFTER and end + distance - 1 < count:
            yield end + distance - 1
