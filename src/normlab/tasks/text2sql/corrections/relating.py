"""Questions about rows of one table by those of another: those without any, those with the most, a number for each.

The two tables are the ones that the question names; one key must lead from the counted rows to the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from normlab.data.text.word_forms import stem
from normlab.tasks.text2sql.corrections.clauses import (
    COUNT,
    Clauses,
    Condition,
    Unit,
    bare_column,
    column_unit,
    function_unit,
    is_aggregate,
)
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.keys import said_key
from normlab.tasks.text2sql.grammar.automaton import CLOSE, OPEN, word
from normlab.tasks.text2sql.linking.linker import EXACT, PARTIAL, STEM
from normlab.tasks.text2sql.linking.values import ValueCandidate
from normlab.tasks.text2sql.periods.choosing import choose_date_column

_NONE = ("no", "never", "without", "not", "nt", "neither")
_EACH = ("each", "every", "per")


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
    said = said_of(subject, place, clauses, evidence, rest)
    if said is None:
        return None
    if any(one.negated for one in clauses.where) and clauses.nests and (len(among) == 1 or child in clauses.columns):
        return None
    other = evidence.schema.columns[child].table
    inner = Clauses((other,), (column_unit(child),)).with_where(tuple(one for _, one in flags)).actions()[:-1]
    without = Condition(column_unit(parent), "in", ((OPEN, *inner, CLOSE),), negated=True)
    counts = wanted.by == "how many"
    shown = (COUNT,) if counts else tuple(map(column_unit, shown_of(evidence, subject)))
    return Clauses((subject,), shown).with_where((*said, without)) if shown else None


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
    spans = {(v.start, v.end) for v in values if v.kind in _CERTAIN and v.end}
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


_CERTAIN = ("cell", "number", "quoted", "date")
"""Kinds of values that are not merely words which may be one."""


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


def for_each(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """ "How many Y does each X have", "the total price per X": grouped by X, which is shown beside the aggregate."""
    words = evidence.words
    places = [at for at, one in enumerate(words) if one in _EACH and at + 1 < len(words)]
    if len(places) != 1 or clauses.having or clauses.nests or (clauses.order and clauses.limit):
        return None
    place = places[0]
    if (form := _PERIODS.get(stem(words[place + 1]))) and not evidence.columns_at([place + 1], EXACT):
        return _grouped_by_period(clauses, evidence, form)
    after = range(place + 1, min(place + 4, len(words)))
    if evidence.tables_at([place + 1]) and not evidence.columns_at([place + 1]):
        return _grouped_by_table(clauses, evidence, evidence.tables_at([place + 1]))
    columns = evidence.columns_at(after[:1]) or (
        evidence.columns_at(after[:2]) if not evidence.tables_at(after[:1]) else ()
    )
    return _grouped_by_column(clauses, evidence, columns)


def _grouped_by_table(clauses: Clauses, evidence: Evidence, named: tuple[int, ...]) -> Clauses | None:
    if len(named) != 1:
        return None
    [table] = named
    label, key = evidence.label(table), evidence.key_of(table)
    if not label or key is None:
        return None
    aggregates = tuple(unit for unit in clauses.select if is_aggregate(unit))
    shown = [c for unit in clauses.select if (c := bare_column(unit)) is not None]
    if table in clauses.tables and clauses.group and any(c and not evidence.is_key(c) for c in shown):
        return None
    if any(c and not evidence.is_key(c) and evidence.named(c, STEM) for c in shown):
        return None
    if evidence.says("id", "ids", "code", "codes"):
        return None
    source, aggregates = _counted(clauses, evidence, table, aggregates)
    tables = evidence.way(source, table) if aggregates else None
    if tables is None or len(aggregates) != 1 or len(tables) < 2:
        return None
    return replace(
        clauses,
        tables=tables,
        select=(*map(column_unit, label), *aggregates),
        group=(column_unit(key),),
        distinct=False,
    )


def _counted(
    clauses: Clauses, evidence: Evidence, table: int, aggregates: tuple[Unit, ...]
) -> tuple[tuple[int, ...], tuple[Unit, ...]]:
    """The tables whose rows are counted, and the aggregate: `count(*)` for "how many" and "number of"."""
    wanted = evidence.wanted
    counts = wanted is not None and wanted.by == "how many"
    if counts and wanted is not None:
        named = [t for t in wanted.tables if t != table]
        if len(named) == 1:
            source = tuple(t for t in clauses.tables if t in (named[0], table)) if not clauses.where else clauses.tables
            if named[0] not in source:
                source = (named[0], *(() if not clauses.where else source))
            return source, (COUNT,)
        return clauses.tables, aggregates or ((COUNT,) if wanted.columns == () and clauses.group else ())
    return clauses.tables, aggregates


_PERIODS = {
    "month": "strftime('%Y-%m', {})",
    "year": "strftime('%Y', {})",
    "day": "date({})",
    "date": "date({})",
    "week": "strftime('%Y-%W', {})",
    "quarter": "strftime('%Y', {0}) || '-Q' || ((strftime('%m', {0}) + 2) / 3)",
}
"""Stem of a word for a span of time -> what is the same for its days."""


def _grouped_by_period(clauses: Clauses, evidence: Evidence, form: str) -> Clauses | None:
    """The aggregate alone becomes one for each month, year, ... of the column of dates that is meant."""
    wanted = evidence.wanted
    dates = [c for t in clauses.tables for c in evidence.schema.columns_of(t) if evidence.contents.is_date(c)]
    column = choose_date_column(evidence.linked.question, dates, evidence.schema, wanted.tables if wanted else ())
    written = None if column is None else evidence.contents.date_form(column)
    aggregates = tuple(COUNT if _adds_dates(unit, evidence) else unit for unit in clauses.select if is_aggregate(unit))
    if wanted is not None and wanted.by == "how many" and not aggregates:
        aggregates = (COUNT,)
    if column is None or written is None or len(aggregates) != 1 or (written.rivals and form != _PERIODS["year"]):
        return None
    unit = function_unit(form.format(written.day_of("{0}")), column, clauses.tables, evidence.schema)
    return replace(clauses, select=(unit, *aggregates), group=(unit,), distinct=False)


def _adds_dates(unit: Unit, evidence: Evidence) -> bool:
    """Tell a sum or mean of dates, which means nothing: the model's answer to "bookings per month"."""
    columns = [int(text) for kind, text in unit if kind == "column"]
    adds = unit[0] in (word("sum"), word("avg"))
    return adds and bool(columns) and all(map(evidence.contents.is_date, columns))


def _grouped_by_column(clauses: Clauses, evidence: Evidence, columns: tuple[int, ...]) -> Clauses | None:
    """The aggregate alone, without its groups, becomes one for each value of the column."""
    mine = [c for c in columns if evidence.schema.columns[c].table in clauses.tables]
    if len(mine) != 1 or clauses.group or not all(map(is_aggregate, clauses.select)):
        return None
    column = column_unit(mine[0])
    return replace(clauses, select=(column, *clauses.select), group=(column,))


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
