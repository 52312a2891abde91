"""The order, its direction and the number of rows that the question's superlative asks for."""

from __future__ import annotations

from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, bare_column, column_unit, is_aggregate
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.qualities import GENERAL, QUALITIES
from normlab.tasks.text2sql.corrections.superlatives import Superlative, says_earned, superlative_of
from normlab.tasks.text2sql.grammar.automaton import word


def sorted_by_superlative(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Give a query the order, direction and number of rows that the question's superlative asks for."""
    wanted = evidence.wanted
    superlative = superlative_of(evidence, clauses.tables)
    if superlative is None and wanted is not None and wanted.by in ("which", "who", "what"):
        return _of_its_own_table(clauses, evidence)
    if superlative is None or wanted is None or wanted.by == "how many" or clauses.having:
        return None
    column, downward = superlative.column, superlative.downward
    if any(is_aggregate(unit) for unit in clauses.select):
        return _extreme(clauses, evidence, superlative)
    where = tuple(one for one in clauses.where if not _from_superlative(one.constants, evidence, superlative))
    if clauses.only_and and len(where) < len(clauses.where):
        clauses = clauses.with_where(where)
    if clauses.nests:
        return None
    function = _aggregate_after(evidence, superlative) or _summed(evidence, superlative)
    if function is not None:
        return _by_aggregate(clauses, evidence, superlative, function)
    limit = str(superlative.rows)
    if _asks_for_value(evidence, superlative) and not clauses.order and superlative.rows == 1:
        return None
    return replace(
        clauses,
        group=(),
        order=(column_unit(column),),
        direction="desc" if downward else "asc",
        limit=clauses.limit if clauses.limit and superlative.rows == 1 else limit,
    )


def _of_its_own_table(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """The first row of the asked table by its own column, where the query counts rows of another: "earned the most"."""
    wanted = evidence.wanted
    tables = wanted.tables if wanted and not wanted.columns else ()
    superlative = superlative_of(evidence, tables) if len(tables) == 1 and tables[0] not in clauses.tables else None
    label = evidence.label(tables[0]) if tables else ()
    if superlative is None or not label or clauses.where or clauses.order != (COUNT,):
        return None
    return Clauses(
        tables,
        tuple(map(column_unit, label)),
        order=(column_unit(superlative.column),),
        direction="desc" if superlative.downward else "asc",
        limit=str(superlative.rows),
    )


_AGGREGATES = {
    **dict.fromkeys(("average", "mean", "avg"), "avg"),
    **dict.fromkeys(("total", "sum", "combined", "overall", "summed"), "sum"),
}


def _aggregate_after(evidence: Evidence, superlative: Superlative) -> str | None:
    """The function that a word behind a superlative says: "the highest average salary"."""
    words = evidence.words
    near = range(superlative.place + 1, min(superlative.place + 3, len(words)))
    places = [at for at in near if words[at] in _AGGREGATES and not evidence.columns_at([at])]  # a column "average"
    return _AGGREGATES[words[places[0]]] if places else None


def _summed(evidence: Evidence, superlative: Superlative) -> str | None:
    """`sum` for "which doctor earned the most" over the fees of each doctor's appointments."""
    wanted = evidence.wanted
    if not says_earned(evidence, superlative.place) or wanted is None or len(wanted.tables) != 1:
        return None
    parents = [table for _, _, table in evidence.parents(evidence.schema.columns[superlative.column].table)]
    return "sum" if wanted.tables[0] in parents else None


def _by_aggregate(clauses: Clauses, evidence: Evidence, superlative: Superlative, function: str) -> Clauses | None:
    """Groups by their mean or sum, the highest or lowest first, shown by what the query shows."""
    columns = [c for unit in clauses.select if (c := bare_column(unit))]
    if len(columns) < len(clauses.select) or not columns or superlative.column in columns:
        return None
    key = evidence.key_of(evidence.schema.columns[columns[0]].table) if len(clauses.tables) > 1 else None
    return replace(
        clauses,
        group=clauses.group or (column_unit(key or columns[0]),),
        order=((word(function), ("column", superlative.column)),),
        direction="desc" if superlative.downward else "asc",
        limit=str(superlative.rows),
    )


def _from_superlative(constants: tuple[str, ...], evidence: Evidence, superlative: Superlative) -> bool:
    """Whether a condition compares with the superlative's own word ("first" -> 1)."""
    spans = [(v.start, v.end) for text in constants for v in evidence.values_of(text)]
    return bool(spans) and all(start <= superlative.place < end for start, end in spans)


def _asks_for_value(evidence: Evidence, superlative: Superlative) -> bool:
    """Whether the column itself is asked for: "what is the highest price"."""
    wanted = evidence.wanted
    return wanted is not None and superlative.column in wanted.columns


def _extreme(clauses: Clauses, evidence: Evidence, superlative: Superlative) -> Clauses | None:
    """max and min the right way round."""
    right = word("max" if superlative.downward else "min")
    others = [unit for unit in clauses.select if unit[-1] == ("column", superlative.column)]
    if len(others) != 1 or others[0][0] not in (word("max"), word("min"), word("avg")) or len(others[0]) != 2:
        return None
    wanted = evidence.wanted
    assert wanted is not None
    if len(clauses.select) == 1 and wanted.tables and not wanted.columns and not clauses.group:
        label = evidence.label(evidence.schema.columns[superlative.column].table)
        if label:
            return replace(
                clauses,
                select=tuple(map(column_unit, label)),
                order=(column_unit(superlative.column),),
                direction="desc" if superlative.downward else "asc",
                limit=str(superlative.rows),
            )
    if len({GENERAL.get(w, w) for w in evidence.words if w in GENERAL or w in QUALITIES}) > 1:
        return None
    select = tuple((right, *unit[1:]) if unit == others[0] else unit for unit in clauses.select)
    return replace(clauses, select=select)
