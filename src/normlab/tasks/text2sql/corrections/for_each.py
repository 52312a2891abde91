"""One row for each: "the number of orders per customer", "sales in each month", "the average fee by doctor"."""

from __future__ import annotations

from dataclasses import replace

from normlab.data.text.word_forms import stem
from normlab.tasks.text2sql.corrections.clauses import (
    COUNT,
    Clauses,
    Unit,
    bare_column,
    column_unit,
    function_unit,
    is_aggregate,
)
from normlab.tasks.text2sql.corrections.evidence import EACH, Evidence
from normlab.tasks.text2sql.grammar.automaton import word
from normlab.tasks.text2sql.linking.linker import EXACT, STEM
from normlab.tasks.text2sql.periods.choosing import choose_date_column


def for_each(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """ "How many Y does each X have", "the total price per X": grouped by X, which is shown beside the aggregate."""
    words = evidence.words
    places = [
        at for at, one in enumerate(words) if (one in EACH or _parts(at, clauses, evidence)) and at + 1 < len(words)
    ]
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


def _parts(place: int, clauses: Clauses, evidence: Evidence) -> bool:
    """Whether "by" says groups: at the end, behind the noun of a mean or a sum."""
    words = evidence.words
    last = [at for at, said in enumerate(words) if said.isalnum()][-1]
    before = words[place - 1] if place else ""
    return (
        words[place] == "by"
        and place + 1 == last
        and all(map(is_aggregate, clauses.select))
        and not before.endswith(("ed", "en", "wn", "de", "ht", "ld"))
        and bool(evidence.tables_at([place - 1]) or evidence.columns_at([place - 1]))
    )


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


_MOST = (("the", "most"), ("the", "fewest"))


def period_with_most(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """ "Which month had the most orders": months by the number of their rows."""
    words = evidence.words
    place = next(
        (at for at in range(len(words) - 2) if words[at : at + 2] in (("the", "most"), ("the", "fewest"))), None
    )
    form = _PERIODS.get(stem(words[1])) if len(words) > 2 and words[0] in ("which", "what") else None
    if place is None or form is None or clauses.where or evidence.columns_at([1], EXACT):
        return None
    named = evidence.tables_at(range(place + 2, len(words)))
    dates = [c for t in named for c in evidence.schema.columns_of(t) if evidence.contents.is_date(c)]
    column = choose_date_column(evidence.linked.question, dates, evidence.schema, named) if len(named) == 1 else None
    written = None if column is None else evidence.contents.date_form(column)
    if column is None or written is None or (written.rivals and form != _PERIODS["year"]):
        return None
    unit = function_unit(form.format(written.day_of("{0}")), column, named, evidence.schema)
    direction = "desc" if words[place + 1] == "most" else "asc"
    return Clauses(named, (unit,), group=(unit,), order=(COUNT,), direction=direction, limit="1")


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
