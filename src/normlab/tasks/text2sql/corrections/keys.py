"""Which of several keys, or columns alike, a value belongs to: flights *from* Paris, *to* Rome, their *home* team.

The grammar has no ON, so the decoder cannot choose between `flight.origin` and `flight.destination`. The words beside
the value do: those of the columns' names, or a direction, of which the nearest counts. Where no value is compared the
verb does: who *sent* a message is its `sender_id`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from normlab.data.sql.schema import Schema
from normlab.data.text.word_forms import stem, words_of
from normlab.tasks.text2sql.corrections.clauses import Clauses, Condition, column_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.grammar.automaton import CLOSE, OPEN

_AWAY = (
    "from came come origin source departure depart start leave begin out sender pickup takeoff export outgoing lender "
    "seller giver donor"
)
_TOWARD = (
    "to into toward towards destination dest target arrival arrive arriving land landing reach end receiver incoming "
    "import bound borrower buyer payee recipient"
)
_VERBS = {
    "sent": "send",
    "bought": "buy",
    "sold": "sell",
    "won": "win",
    "lost": "lose",
    "lent": "lend",
    "paid": "pay",
    "wrote": "write",
    "written": "write",
    "taught": "teach",
    "gave": "give",
    "given": "give",
    "made": "make",
    "led": "lead",
    "drove": "drive",
    "driven": "drive",
    "caught": "catch",
    "left": "leave",
    "flew": "fly",
}


def root_of(word: str) -> str:
    """Return what "sent", "sends" and "sender" have in common."""
    text = stem(_VERBS.get(word, word))
    text = re.sub(r"(?<=\w{3})(?:er|or)$", "", text).removesuffix("e")
    return re.sub(r"([^aeiou])\1$", r"\1", text)


_DIRECTIONS = tuple(frozenset(map(root_of, words.split())) for words in (_AWAY, _TOWARD))
_PREPOSITIONS = frozenset(("from", "to", "into", "toward", "towards", "out"))
_ASKING = frozenset(("which", "where", "whom", "what"))
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
    if len({key for _, key in meant}) < 2:
        return None
    if not clauses.only_and:  # "from Ann to Cy" is no choice
        if len(meant) < len(clauses.where) or evidence.says("or", "either"):
            return None
        clauses = clauses.with_where(clauses.where)
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


def keys_by_verb(clauses: Clauses, evidence: Evidence) -> tuple[int, ...]:
    """Return the referring column of the key that the question's verb says, for each table with several keys to it."""
    groups = [keys for table in clauses.tables if (keys := _rivals(clauses, evidence.schema, table))]
    found = [said_key(evidence, keys) for keys in groups]
    return tuple(dict.fromkeys(key[0] for key in found if key))


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
    names = _own_words(evidence, columns)
    for place in _near(start, end, len(evidence.words)):
        fitting = [column for column in columns if names[column] & _alike(evidence.words[place])]
        if len(fitting) == 1:
            return fitting[0]
    return None


def said_key(evidence: Evidence, keys: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Return the one of several keys to a table whose name or direction a word of the question says; None for several.

    A preposition counts only where it asks: "the airports from which ..."; beside a value it is that value's.
    """
    names = _own_words(evidence, [child for child, _ in keys])
    words = evidence.words
    said: set[tuple[int, int]] = set()
    values = {p for v in evidence.linked.values if v.kind in ("cell", "quoted") for p in range(v.start, v.end)}
    for place, text in enumerate(words):
        if place in values:
            continue
        if text in _PREPOSITIONS and not (place + 1 < len(words) and words[place + 1] in _ASKING):
            continue
        fitting = [key for key in keys if names[key[0]] & _alike(text)]
        said |= set(fitting) if len(fitting) == 1 else set()
    return said.pop() if len(said) == 1 else None


def _own_words(evidence: Evidence, columns: Sequence[int]) -> dict[int, set[str]]:
    """Roots of the words of each column's name that not all of them have."""
    names = {
        column: {root_of(word) for word in words_of(evidence.schema.columns[column].natural)} for column in columns
    }
    shared = set.intersection(*names.values())
    return {column: words - shared for column, words in names.items()}


def _alike(text: str) -> frozenset[str]:
    """The root of a word, and those of the same direction."""
    root = root_of(text)
    return next((words for words in _DIRECTIONS if root in words), frozenset((root,)))


def _near(start: int, end: int, count: int) -> Iterator[int]:
    """Places beside a span, the nearest first, those before it earlier than those behind."""
    for distance in range(1, _BEFORE + 1):
        if start - distance >= 0:
            yield start - distance
        if distance <= _AFTER and end + distance - 1 < count:
            yield end + distance - 1
