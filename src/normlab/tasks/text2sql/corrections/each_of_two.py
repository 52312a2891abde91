"""A count for each of two values: "how many male and female students are there".

No row has both values in one column, so the sum of the two, or one of them, answers something else.
"""

from __future__ import annotations

from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, Condition, column_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.linking.values import ValueCandidate


def each_of_two(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Count the rows of each of two cells that "and" joins, beside the cell."""
    wanted = evidence.wanted
    if wanted is None or wanted.by != "how many" or clauses.group or clauses.order or clauses.nests:
        return None
    if not clauses.only_and or clauses.having or evidence.says("both"):
        return None
    cells = [value for value in evidence.linked.values if value.kind == "cell" and value.end]
    pairs = [(a, b) for a in cells for b in cells if _joined(a, b, evidence)]
    found = {(column, a.sql, b.sql) for a, b in pairs for column in {*a.columns} & {*b.columns}}
    if len(found) != 1:
        return None
    column, first, second = found.pop()
    table = evidence.schema.columns[column].table
    if table not in clauses.tables or not _has_one(wanted.tables, table, evidence):
        return None
    said = {first, second}
    rest = tuple(one for one in clauses.where if one.column != column and not said & {*one.constants})
    both = Condition(column_unit(column), "in", ((("value", f"({first}{_BETWEEN}{second})"),),))
    grouped = replace(clauses, select=(column_unit(column), COUNT), group=(column_unit(column),), distinct=False)
    return grouped.with_where((*rest, both))


def _has_one(counted: tuple[int, ...], table: int, evidence: Evidence) -> bool:
    """Whether each counted row has one value: of its own table, or of one that it refers to."""
    return all(one == table or table in [parent for _, _, parent in evidence.parents(one)] for one in counted)


def _joined(first: ValueCandidate, second: ValueCandidate, evidence: Evidence) -> bool:
    return first.sql != second.sql and evidence.words[first.end : second.start] == ("and",)


def listed(constant: str) -> list[str]:
    """Return the constants of a list that this rule wrote; any other constant alone."""
    return constant[1:-1].split(_BETWEEN) if constant.startswith("(") else [constant]


_BETWEEN = " , "
