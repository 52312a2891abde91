"""Questions about rows of one table by those of another: those without any, those with the most.

The two tables are the ones that the question names; one key must lead from the counted rows to the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from normlab.tasks.text2sql.corrections.clauses import (
    COUNT,
    Clauses,
    Condition,
    column_unit,
)
from normlab.tasks.text2sql.corrections.evidence import CERTAIN, Evidence
from normlab.tasks.text2sql.corrections.keys import said_key
from normlab.tasks.text2sql.grammar.automaton import CLOSE, OPEN, word
from normlab.tasks.text2sql.linking.linker import PARTIAL
from normlab.tasks.text2sql.linking.values import ValueCandidate
from normlab.tasks.text2sql.periods.choosing import choose_date_column
from normlab.tasks.text2sql.periods.period import period_of

_NONE = ("no", "never", "without", "not", "nt", "neither")


def without_any(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """ "Which X have no Y": X whose key no Y refers to."""
    wanted = evidence.wanted
    if wanted is None or len(wanted.tables) != 1 or (wanted.columns and wanted.by in ("how many", "which", "who")):
        return None
    place = next((at for at in range(wanted.end, len(evidence.words)) if evidence.words[at] in _NONE), None)
    if place is None:
        return None
    after = range(place + 1, len(evidence.words))
    subject = wanted.tables[0]
    others = [t for t in evidence.tables_at(after) if t != subject] or [
        t for t in evidence.tables_at(after, PARTIAL) if t != subject
    ]
    among = _keys_between(evidence, others[0], subject) if others else []
    keys = _one_key(among, evidence)
    if len(keys) != 1:
        return None
    child, parent = keys[0]
    flags = _flags_of(evidence.schema.columns[child].table, place, evidence)
    rest = [value for value in evidence.linked.values if (value.start, value.end) not in [span for span, _ in flags]]
    when = _when(evidence.schema.columns[child].table, evidence)
    if when:
        rest = [value for value in rest if value.start < place]
    said = said_of(subject, place, clauses, evidence, rest)
    if said is None:
        return None
    denied = any(one.negated for one in clauses.where) and clauses.nests
    if denied and not when and (len(among) == 1 or child in clauses.columns):
        return None
    other = evidence.schema.columns[child].table
    inner = Clauses((other,), (column_unit(child),)).with_where((*(one for _, one in flags), *when)).actions()[:-1]
    without = Condition(column_unit(parent), "in", ((OPEN, *inner, CLOSE),), negated=True)
    counts = wanted.by == "how many"
    shown = (COUNT,) if counts else tuple(map(column_unit, shown_of(evidence, subject)))
    return Clauses((subject,), shown).with_where((*said, without)) if shown else None


def _when(table: int, evidence: Evidence) -> tuple[Condition, ...]:
    """Conditions for the period at the end of the question on the one column of dates: "no orders in 2024"."""
    question = evidence.linked.question
    period = period_of(question, evidence.today)
    dates = [c for c in evidence.schema.columns_of(table) if evidence.contents.is_date(c)]
    column = choose_date_column(question, dates, evidence.schema, (table,)) if period and dates else None
    form = None if column is None else evidence.contents.date_form(column)
    if period is None or period.month or period.is_day or column is None or form is None or not form.is_iso:
        return ()
    last = re.findall(r"\w+", question.lower())[-1]
    if last not in " ".join(period.words).split():  # the question says more
        return ()
    bounds = ((">=", period.first), ("<", period.end))
    return tuple(Condition(column_unit(column), sign, ((("value", f"'{day}'"),),)) for sign, day in bounds if day)


def _flags_of(table: int, end: int, evidence: Evidence) -> list[tuple[tuple[int, int], Condition]]:
    """Conditions on yes and no of the other table, with the word that says each: "have won no award"."""
    return [
        ((value.start, value.end), Condition(column_unit(value.columns[0]), "=", ((("value", value.sql),),)))
        for value in evidence.linked.values
        if value.kind == "cell" and 0 < value.end <= end and len(value.columns) == 1
        if evidence.schema.columns[value.columns[0]].table == table and evidence.contents.flags(value.columns[0])
    ]


def said_of(
    table: int, end: int, clauses: Clauses, evidence: Evidence, values: Sequence[ValueCandidate] | None = None
) -> tuple[Condition, ...] | None:
    """Return what the words before `end` say of a table's rows, as conditions; None where a value is left over.

    A cell there is what its column is; a number is compared as the query compares it.

    Args:
        values: those to look at, all of the question if None.
    """
    values = evidence.linked.values if values is None else values
    mine = [c for c in clauses.where if c.column is not None and evidence.schema.columns[c.column].table == table]
    found: dict[tuple[int, int], Condition] = {}
    spans = {(v.start, v.end) for v in values if v.kind in CERTAIN and v.end}
    for start, stop in sorted(spans):
        if start > end:
            return None
        if start == end:  # "no" itself may be a cell
            continue
        mean = [v for v in values if (v.start, v.end) == (start, stop)]
        cells = [(c, v.sql) for v in mean if v.kind == "cell" for c in v.columns]
        cells = [(c, sql) for c, sql in cells if evidence.schema.columns[c].table == table]
        texts = {v.sql for v in mean}
        compared = [one for one in mine if texts & {*one.constants}]
        if len(cells) == 1:
            found[start, stop] = Condition(column_unit(cells[0][0]), "=", ((("value", cells[0][1]),),))
        elif len(compared) == 1:
            found[start, stop] = compared[0]
        else:
            return None
    return tuple(dict.fromkeys(found.values()))


def with_most(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """ "Which X has the most Y": X joined with Y, by the number of rows of each."""
    wanted = evidence.wanted
    if wanted is None or wanted.by == "how many" or len(wanted.tables) != 1 or wanted.columns:
        return None
    subject = wanted.tables[0]
    words = evidence.words
    place = next((at for at in range(wanted.end, len(words) - 1) if words[at : at + 2] in _MOST), None)
    if place is None:
        return None
    downward = not {words[place], words[place + 1]} & {"fewest", "lowest", "smallest"}
    near = range(place + 2, min(place + 5, len(words)))
    others = [t for t in evidence.tables_at(near) if t != subject]
    keys = _keys_between(evidence, others[0], subject) if others else []
    if len(keys) != 1 or evidence.says("total", "sum", "average"):
        return None
    child, parent = keys[0]
    other = evidence.schema.columns[child].table
    if any(evidence.schema.columns[c].table == subject for c in evidence.columns_at(near)):
        return None
    if set(clauses.tables) == {subject, other} and clauses.group and _ends_in_count(clauses):
        return None
    shown = tuple(map(column_unit, shown_of(evidence, subject)))
    said = said_of(subject, place, clauses, evidence)
    if not shown or said is None or (clauses.where and clauses.nests):
        return None
    return Clauses(
        (other, subject),
        shown,
        group=(column_unit(parent),),
        order=(COUNT,),
        direction="desc" if downward else "asc",
        limit=clauses.limit or "1",
    ).with_where(said)


_MOST = (
    ("the", "most"),
    ("most", "number"),
    ("largest", "number"),
    ("highest", "number"),
    ("greatest", "number"),
    ("the", "fewest"),
    ("fewest", "number"),
    ("lowest", "number"),
    ("smallest", "number"),
)


def shown_of(evidence: Evidence, table: int) -> tuple[int, ...]:
    """The columns of a table that a query shows already and a word asks for, else the names of its rows."""
    wanted = evidence.wanted
    asked = [c for c in (wanted.columns if wanted else ()) if evidence.schema.columns[c].table == table]
    return tuple(asked) or evidence.label(table)


def _keys_between(evidence: Evidence, child: int, parent: int) -> list[tuple[int, int]]:
    return [(own, referred) for own, referred, table in evidence.parents(child) if table == parent]


def _one_key(keys: list[tuple[int, int]], evidence: Evidence) -> list[tuple[int, int]]:
    """Of several keys the one that the question's verb says, if it says one."""
    said = said_key(evidence, keys) if len(keys) > 1 else None
    return [said] if said else keys


def _ends_in_count(clauses: Clauses) -> bool:
    return bool(clauses.order) and clauses.order[0][0] == word("count")
