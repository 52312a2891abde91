"""All rows of the one row of another table that is first: "the employees of the department with the lowest budget".

The model joins both tables, sorts by the budget and takes one row, which is one employee of several.
"""

from __future__ import annotations

from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, Condition, bare_column, column_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.superlatives import superlative_of
from normlab.tasks.text2sql.grammar.automaton import CLOSE, OPEN


def of_the_most(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Take the first row of the sorted table in a sub-query, and all rows that refer to it."""
    return _with_most_rows(clauses, evidence) or _first_of_other(clauses, evidence)


def _with_most_rows(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """ "Employees in the department with the most employees": those of the largest group, not one of them."""
    wanted = evidence.wanted
    if wanted is None or len(wanted.tables) != 1 or clauses.order != (COUNT,) or clauses.limit != "1" or clauses.where:
        return None
    [subject] = wanted.tables
    groups = [bare_column(unit) for unit in clauses.group]
    keys = {child: table for child, _, table in evidence.parents(subject) if table != subject}
    keys |= {key: table for child, key, table in evidence.parents(subject) if table != subject}
    parents = {keys.get(group) if group is not None else None for group in groups}
    parent = parents.pop() if len(parents) == 1 else None
    most = next((at for at, said in enumerate(evidence.words) if said in ("most", "fewest", "least")), 0)
    if parent is None or parent not in evidence.tables_at(range(wanted.end, most)):
        return None
    if subject not in evidence.tables_at(range(most, len(evidence.words))):
        return None
    children = [child for child, _, table in evidence.parents(subject) if table == parent]
    label = evidence.label(subject)
    asked = [c for c in wanted.columns if evidence.schema.columns[c].table == subject]
    if len(children) != 1 or not (label or asked):
        return None
    child = column_unit(children[0])
    inner = Clauses((subject,), (child,), group=(child,), order=(COUNT,), direction=clauses.direction, limit="1")
    there = Condition(child, "=", ((OPEN, *inner.actions()[:-1], CLOSE),))
    return Clauses((subject,), tuple(map(column_unit, asked or label))).with_where((there,))


def _first_of_other(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    wanted = evidence.wanted
    sorted_by = bare_column(clauses.order[0]) if len(clauses.order) == 1 else None
    shown = [bare_column(unit) for unit in clauses.select]
    if wanted is None or not sorted_by or clauses.limit != "1" or clauses.group or clauses.having or None in shown:
        return None
    columns = evidence.schema.columns
    parent = columns[sorted_by].table
    tables = {columns[column].table for column in shown if column}
    if len(tables) != 1 or 0 in shown or len(clauses.tables) != 2 or parent in tables:
        return None
    [subject] = tables
    keys = [(child, key) for child, key, table in evidence.parents(subject) if table == parent]
    superlative = superlative_of(evidence, clauses.tables)
    if len(keys) != 1 or superlative is None or superlative.column != sorted_by or clauses.nests:
        return None
    # Only "of the department with the lowest budget": its noun stands before the superlative and behind what is asked.
    between = range(wanted.end, superlative.place)
    if parent not in evidence.tables_at(between) or not clauses.only_and:
        return None
    inside = tuple(one for one in clauses.where if _table(one, evidence) == parent)
    outside = tuple(one for one in clauses.where if _table(one, evidence) == subject)
    if len(inside) + len(outside) < len(clauses.where):
        return None
    [(child, key)] = keys
    inner = Clauses(
        (parent,), (column_unit(key),), order=clauses.order, direction=clauses.direction, limit="1"
    ).with_where(inside)
    there = Condition(column_unit(child), "=", ((OPEN, *inner.actions()[:-1], CLOSE),))
    return Clauses((subject,), clauses.select, distinct=clauses.distinct).with_where((*outside, there))


def _table(condition: Condition, evidence: Evidence) -> int | None:
    return None if condition.column is None else evidence.schema.columns[condition.column].table
