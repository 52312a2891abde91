"""A table that a query joins for a name alone, though neither the question nor a condition speaks of it."""

from __future__ import annotations

from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import Clauses, Unit, bare_column, column_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence


def without_idle_table(clauses: Clauses, table: int, evidence: Evidence) -> Clauses:
    """Return a query over two tables without the one that nothing speaks of, the names of `table` in place of its own.

    "The name of the second heaviest product" is no category's. Every other query stays as it is.
    """
    if len(clauses.tables) != 2 or clauses.group or clauses.nests or table not in clauses.tables:
        return clauses
    [other] = set(clauses.tables) - {table}
    if other in evidence.tables_at(range(len(evidence.words))):
        return clauses
    if other in _tables_of((*(one.unit for one in clauses.where), *clauses.order), evidence):
        return clauses
    label = tuple(map(column_unit, evidence.label(table)))
    if any(bare_column(unit) is None for unit in clauses.select if other in _tables_of([unit], evidence)) or not label:
        return clauses
    select: list[Unit] = []
    for unit in clauses.select:
        select += label if other in _tables_of([unit], evidence) else [unit]
    return replace(clauses, tables=(table,), select=tuple(dict.fromkeys(select)))


def _tables_of(units: tuple[Unit, ...] | list[Unit], evidence: Evidence) -> set[int]:
    columns = [int(text) for unit in units for kind, text in unit if kind == "column" and text]
    return {evidence.schema.columns[column].table for column in columns}
