"""Things called by their kind, which is a row of another table: "the cheapest toy", "books below 30".

The kind is a cell of a table that says of what kind the rows of one other table are (`categories` of `products`), so
those rows are asked for.
"""

from __future__ import annotations

from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, Condition, column_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence

_KINDS = frozenset(("category", "categories", "type", "types", "kind", "kinds", "genre", "genres", "class", "classes"))


def of_kind(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Show or count the rows of the one table that refers to the kind, joined with it."""
    wanted = evidence.wanted
    if wanted is None or wanted.tables or wanted.columns or len(clauses.tables) != 1 or clauses.group or clauses.having:
        return None
    [kind] = clauses.tables
    label = evidence.label(kind)
    said = {
        (column, value.sql)
        for value in evidence.linked.values
        if value.kind == "cell" and wanted.start <= value.start and value.end <= wanted.end
        for column in value.columns
    }
    if len(said) != 1 or not {*evidence.schema.tables[kind].natural.split()} & _KINDS:
        return None
    column, sql = said.pop()
    referring = {
        evidence.schema.columns[a].table for a, b in evidence.schema.foreign_keys if _table(b, evidence) == kind
    }
    if column not in label or len(referring) != 1 or kind in referring or not clauses.only_and:
        return None
    [things] = referring
    shown = (COUNT,) if wanted.by == "how many" else tuple(map(column_unit, evidence.label(things)))
    if not shown:
        return None
    rest = tuple(one for one in clauses.where if one.column != column)
    is_kind = Condition(column_unit(column), "=", ((("value", sql),),))
    joined = replace(clauses, tables=(things, kind), select=shown, order=(), direction="", limit="", distinct=False)
    return joined.with_where((*rest, is_kind))


def _table(column: int, evidence: Evidence) -> int:
    return evidence.schema.columns[column].table
