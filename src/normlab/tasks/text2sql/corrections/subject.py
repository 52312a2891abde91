"""What the question asks for, as columns: "which team" is its name, not all of its columns, nor its number."""

from __future__ import annotations

from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import Clauses, bare_column, column_unit, is_aggregate
from normlab.tasks.text2sql.corrections.evidence import WHOLE_ROWS, Evidence

_STAR = 0


def shown_by_name(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Show the names of what is asked for, where a query shows whole rows or a column that no word asks for."""
    wanted = evidence.wanted
    if wanted is None or wanted.by == "how many" or any(map(is_aggregate, clauses.select)):
        return None
    if any(word in WHOLE_ROWS for word in evidence.words):
        return None
    columns = [bare_column(unit) for unit in clauses.select]
    if None in columns:
        return None
    if wanted.columns:
        return _asked_columns(clauses, evidence, [int(c) for c in columns if c is not None])
    table = _asked_table(clauses, evidence)
    if table is None:
        return None
    label = evidence.label(table)
    shown = set(label) & set(columns)
    if not label or len(shown) == len(label) or (shown and len(columns) > len(shown)):
        return None
    if columns != [_STAR] and (len(columns) > 1 or any(c and evidence.asked(c) for c in columns)):
        return None
    tables = evidence.way(clauses.tables, table)
    if tables is None:
        return None
    added = len(tables) > len(clauses.tables)
    select = tuple(map(column_unit, label))
    if added and clauses.group:
        return None
    return replace(clauses, tables=tables, select=select, distinct=clauses.distinct or added)


def _asked_table(clauses: Clauses, evidence: Evidence) -> int | None:
    wanted = evidence.wanted
    assert wanted is not None
    if len(wanted.tables) == 1:
        return wanted.tables[0]
    if (
        not wanted.tables
        and len(clauses.tables) == 1
        and (wanted.by == "who" or clauses.select == (column_unit(_STAR),))
    ):
        return clauses.tables[0]
    return None


def _asked_columns(clauses: Clauses, evidence: Evidence, shown: list[int]) -> Clauses | None:
    """The columns asked for, in the place of `*` or of one that no word names."""
    wanted = evidence.wanted
    assert wanted is not None
    asked = [c for c in wanted.columns if evidence.schema.columns[c].table in clauses.tables]
    if not asked or set(asked) & set(shown) or len({evidence.schema.columns[c].name for c in asked}) < len(asked):
        return None
    if shown != [_STAR] and any(c and evidence.named(c) for c in shown):
        return None
    return replace(clauses, select=tuple(map(column_unit, asked)))


def each_once(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Show each row of what is asked for once, where a join repeats it: "workers who had an accident"."""
    wanted = evidence.wanted
    if clauses.distinct or clauses.group or clauses.order or len(clauses.tables) < 2 or wanted is None:
        return None
    columns = [bare_column(unit) for unit in clauses.select]
    tables = {evidence.schema.columns[c].table for c in columns if c}
    if None in columns or _STAR in columns or len(tables) != 1:
        return None
    [table] = tables
    repeats = any(
        evidence.schema.columns[b].table == table and evidence.schema.columns[a].table in clauses.tables
        for a, b in evidence.schema.foreign_keys
    )
    return replace(clauses, distinct=True) if repeats else None
