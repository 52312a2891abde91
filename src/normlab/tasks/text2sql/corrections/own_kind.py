"""Rows of a table by other rows of the same table: the manager of Tom, whom Eva manages, those without a manager.

A key that refers to its own table (`employee.manager_id`) would need it twice in FROM; a sub-query says the same.
Only one value may be compared so, and what else the question says of the rows must stand in the query already.
"""

from __future__ import annotations

from dataclasses import replace

from normlab.data.text.word_forms import words_of
from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, Condition, column_unit, function_unit
from normlab.tasks.text2sql.corrections.evidence import CERTAIN, Evidence
from normlab.tasks.text2sql.corrections.keys import root_of
from normlab.tasks.text2sql.grammar.automaton import CLOSE, OPEN

_NONE = ("no", "without")
_IS = ("is", "was", "are", "named", "called", ":")
_REACH = 4


def by_own_kind(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Follow a key to its own table where the question names it and one row: "the manager of Tom"."""
    wanted = evidence.wanted
    if wanted is None or len(clauses.tables) != 1 or clauses.group or clauses.order or clauses.having:
        return None
    [table] = clauses.tables
    own = [(a, b) for a, b, other in evidence.parents(table) if other == table]
    label = evidence.label(table)
    places = _places(evidence, own[0][0]) if len(own) == 1 else []
    if len(places) != 1 or not label or wanted.columns:
        return None
    [(child, parent)], [place] = own, places
    shown = (COUNT,) if wanted.by == "how many" else tuple(map(column_unit, label))
    others = set(evidence.tables_at(range(len(evidence.words)))) - {table}
    if place and evidence.words[place - 1] in _NONE and not others:
        kept = tuple(one for one in clauses.where if all(len(value) == 1 for value in one.values))
        missing = function_unit("coalesce({}, '')", child, clauses.tables, evidence.schema)
        none = Condition(missing, "=", ((("value", "''"),),))
        said = clauses.only_and and _all_said(evidence, kept, set())
        return Clauses((table,), shown).with_where((*kept, none)) if said else None
    named = _named(evidence, table, label)
    if named is None:
        return None
    start, end, column, text = named
    upward = _upward(evidence, place, start, end)
    kept = tuple(one for one in clauses.where if text not in one.constants and one.column != parent)
    if upward is None or not clauses.only_and or any(len(v) > 1 for one in kept for v in one.values):
        return None
    if not _all_said(evidence, kept, {(start, end)}):
        return None
    inside, outside = (child, parent) if upward else (parent, child)
    row = Condition(column_unit(column), "=", ((("value", text),),))
    inner = Clauses((table,), (column_unit(inside),), (row,)).actions()[:-1]
    there = Condition(column_unit(outside), "in", ((OPEN, *inner, CLOSE),))
    return replace(Clauses((table,), shown), distinct=False).with_where((*kept, there))


def _all_said(evidence: Evidence, kept: tuple[Condition, ...], used: set[tuple[int, int]]) -> bool:
    """Whether conditions compare with each value of the question but those that are used already."""
    compared = {constant for one in kept for constant in one.constants}
    spans = {(v.start, v.end) for v in evidence.linked.values if v.kind in CERTAIN and v.end} - used
    return all(compared & {v.sql for v in evidence.linked.values if (v.start, v.end) == span} for span in spans)


def _places(evidence: Evidence, child: int) -> list[int]:
    """Where the question says the name of the key: "manager", "manages", "reports"."""
    roots = {root_of(word) for word in words_of(evidence.schema.columns[child].natural)} - _NO_NAMES
    return [place for place, word in enumerate(evidence.words) if root_of(word) in roots]


_NO_NAMES = frozenset(map(root_of, ("id", "to", "by", "no", "number", "code", "key", "ref", "name")))


def _named(evidence: Evidence, table: int, label: tuple[int, ...]) -> tuple[int, int, int, str] | None:
    """The one row of the table that the question names by its name: first word, end, column, SQL text."""
    found = {
        (value.start, value.end, column, value.sql)
        for value in evidence.linked.values
        if value.kind == "cell" and value.end
        for column in value.columns
        if column in label and evidence.schema.columns[column].table == table
    }
    return found.pop() if len(found) == 1 else None


def _upward(evidence: Evidence, place: int, start: int, end: int) -> bool | None:
    """Whether the row is meant that the named one refers to; False: those that refer to it; None: unclear."""
    words = evidence.words
    if place < start <= place + _REACH:
        between = words[place + 1 : start]
        if "by" in between or (between[:1] and between[0] in _IS):
            return False
        if between[:1] == ("to",):  # "report to Ida"
            return False
        if between[:1] == ("of",) or (not between and words[place - 1 : place] in (("who",), ("which",))):
            return True
        verb = words[place].endswith(("s", "ed")) and evidence.wanted is not None and evidence.wanted.end >= place
        return True if verb and not between else None
    if end <= place <= end + _REACH:
        between = words[end:place]
        if between and between[0] in ("'", "'s", "s", "\u2019"):
            return True
        if not between and {"does", "do", "did"} & {*words[:start]}:
            return False
        return False if "as" in between else None
    return None
