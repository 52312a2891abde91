"""The n-th: "the second highest salary", "which employee has the third highest salary", "the second oldest".

The grammar has no OFFSET, so the model shows the first n rows. The n-th is that of the different values: who shares the
highest salary is no second. Everybody who has the n-th value is shown.
"""

from __future__ import annotations

from dataclasses import replace

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
from normlab.tasks.text2sql.corrections.evidence import EACH, Evidence
from normlab.tasks.text2sql.corrections.idle_tables import without_idle_table
from normlab.tasks.text2sql.corrections.relating import shown_of
from normlab.tasks.text2sql.corrections.superlatives import Superlative, superlative_of
from normlab.tasks.text2sql.grammar.automaton import CLOSE, OPEN

_ORDINALS = {
    said: rank
    for rank, texts in enumerate(
        (
            "second 2nd",
            "third 3rd",
            "fourth 4th",
            "fifth 5th",
            "sixth 6th",
            "seventh 7th",
            "eighth 8th",
            "ninth 9th",
            "tenth 10th",
        ),
        start=2,
    )
    for said in texts.split()
}
_SUPERLATIVE = ("most", "least", "highest", "lowest", "best", "worst", "largest", "smallest", "biggest", "fewest")


def nth(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Show the n-th value, or the rows that have it, in the place of the first n."""
    said = _rank(evidence)
    if said is None or clauses.doubt:
        return None
    rank, place = said
    wanted = evidence.wanted
    superlative = superlative_of(evidence, clauses.tables)
    if superlative is not None and superlative.place not in (place, place + 1):
        return None
    if evidence.says(*EACH):
        about = f"number {rank} of each group has no query here"
        return replace(clauses, doubt=about) if superlative or clauses.limit == str(rank) else None
    if clauses.nests or clauses.having or (wanted is None and superlative is None):
        return None
    if superlative is None:
        return _of_model(clauses, rank, evidence)
    offset = f"1 OFFSET {rank - 1}"
    direction = "desc" if superlative.downward else "asc"
    column, table = superlative.column, evidence.schema.columns[superlative.column].table
    clauses = without_idle_table(clauses, table, evidence)
    values = _value(superlative, clauses, evidence)
    known = replace(clauses, group=(), order=(values,), direction=direction, limit=offset, distinct=True)
    known = _without_rank(known, superlative, evidence)
    ranked = replace(known, select=(values,))
    if _asks_for_value(superlative, table, evidence):
        return replace(ranked, select=(column_unit(column),)) if values == column_unit(column) else ranked
    shown = _shown(clauses, superlative, evidence)
    if not shown:
        return None
    equal = Condition(values, "=", ((OPEN, *ranked.actions()[:-1], CLOSE),))
    if len(clauses.tables) > 1 and bare_column(values) is None:
        return None  # the text of the value names its table by an alias of the outer query
    flat = replace(known, order=(), direction="", limit="", select=shown, distinct=clauses.distinct)
    return flat.with_condition(equal) if flat.only_and else None


def _rank(evidence: Evidence) -> tuple[int, int] | None:
    """The one ordinal of the question before a superlative, and the place of that."""
    words = evidence.words
    found = [
        (_ORDINALS[said], at + 2 if words[at + 1] == "-" else at + 1)
        for at, said in enumerate(words[:-1])
        if said in _ORDINALS
    ]
    found = [(rank, at) for rank, at in found if at < len(words) and _is_superlative(words[at])]
    return found[0] if len(found) == 1 and sum(said in _ORDINALS for said in words) == 1 else None


def _is_superlative(said: str) -> bool:
    return said in _SUPERLATIVE or (said.endswith("est") and len(said) > 5)


def _value(superlative: Superlative, clauses: Clauses, evidence: Evidence) -> Unit:
    """What is ranked: a column, or its days where its texts do not sort."""
    form = evidence.contents.date_form(superlative.column)
    if form is None or form.sorts or form.rivals:
        return column_unit(superlative.column)
    return function_unit(form.day_of("{0}"), superlative.column, clauses.tables, evidence.schema)


def _asks_for_value(superlative: Superlative, table: int, evidence: Evidence) -> bool:
    """Whether the ranked value itself is asked for: "what is the second highest salary"."""
    wanted = evidence.wanted
    if wanted is None or wanted.by in ("who", "which", "whose", "how many"):
        return False
    return superlative.column in wanted.columns and table not in wanted.tables and superlative.place < wanted.end


def _shown(clauses: Clauses, superlative: Superlative, evidence: Evidence) -> tuple[Unit, ...]:
    """The columns that the query shows, the names of the rows in the place of what nobody asks for."""
    table, wanted = evidence.schema.columns[superlative.column].table, evidence.wanted
    if wanted is not None and wanted.by == "how many":
        return (COUNT,)
    if any(map(is_aggregate, clauses.select)) or column_unit(0) in clauses.select:
        return tuple(map(column_unit, shown_of(evidence, table)))
    if clauses.select == (column_unit(superlative.column),):
        return tuple(map(column_unit, evidence.label(table)))
    return clauses.select


def _without_rank(clauses: Clauses, superlative: Superlative, evidence: Evidence) -> Clauses:
    """Without a condition that compares with the ordinal ("second" -> 2)."""
    near = range(superlative.place - 3, superlative.place + 1)
    where = tuple(
        one
        for one in clauses.where
        if not any(v.start in near for text in one.constants for v in evidence.values_of(text) if v.kind == "number")
    )
    return clauses.with_where(where) if clauses.only_and and len(where) < len(clauses.where) else clauses


def _of_model(clauses: Clauses, rank: int, evidence: Evidence) -> Clauses | None:
    """The model's own order, where it shows the first n rows of it; by a column that no word names it is a guess."""
    if clauses.limit not in (str(rank), "1") or not clauses.order:
        return None
    columns = [int(text) for unit in clauses.order for kind, text in unit if kind == "column" and text]
    if not all(map(evidence.named, columns)):
        return replace(clauses, doubt=f"by what number {rank} is ranked is not certain")
    once = clauses.distinct or (not clauses.group and clauses.select == clauses.order)
    return replace(clauses, limit=f"1 OFFSET {rank - 1}", distinct=once)
