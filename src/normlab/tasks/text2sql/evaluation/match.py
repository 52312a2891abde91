"""Exact match by components, partial scores and hardness, equal to the official script in every verdict.

Ten components are compared as sets or lists (each function says which), then the tables of FROM. Its quirks
are part of the measure: ON is seen only through its keywords, the last direction of ORDER BY holds for all
columns, values do not count but sub-queries compare as wholes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal

from normlab.tasks.text2sql.evaluation.tree import (
    Condition,
    Conditions,
    OfficialAbortError,
    Query,
)

Hardness = Literal["easy", "medium", "hard", "extra"]

COMPONENTS = (
    "select",
    "select(no AGG)",
    "where",
    "where(no OP)",
    "group(no Having)",
    "group",
    "order",
    "and/or",
    "IUEN",
    "keywords",
)


@dataclass(frozen=True)
class PartialScore:
    """How much of one component stands in gold and in the prediction, and whether all of it agrees."""

    gold: int
    predicted: int
    correct: bool


def compare(gold: Query, predicted: Query) -> tuple[bool, dict[str, PartialScore]]:
    """Compare two normalised queries: (exact match, component -> score).

    Raises: `OfficialAbortError` where the official script cannot compare them.
    """
    partial = dict(zip(COMPONENTS, _score_components(gold, predicted), strict=True))
    exact = all(score.correct for score in partial.values())
    return exact and _same_tables(gold, predicted), partial


def query_hardness(query: Query) -> Hardness:
    """Return the level of a parsed, not yet normalised, gold query.

    Three counts decide: clauses and joins, nested queries, and plural things (aggregates, columns,
    conditions). Among the aggregates the script counts every NOT of WHERE and HAVING and every connector of
    HAVING, but no aggregate of HAVING itself.
    """
    clauses, nested, plural = _clauses(query), _nested(query), _plurals(query)
    if nested == 0:
        if clauses <= 1 and plural == 0:
            return "easy"
        if (clauses <= 1 and plural <= 2) or (clauses <= 2 and plural < 2):
            return "medium"
        if (clauses <= 2 and plural > 2) or (clauses == 3 and plural <= 2):
            return "hard"
    return "hard" if clauses <= 1 and plural == 0 and nested <= 1 else "extra"


def _score_components(gold: Query, predicted: Query) -> list[PartialScore]:
    return [
        _multiset(gold.select, predicted.select),
        _multiset((unit for _, unit in gold.select), (unit for _, unit in predicted.select)),
        _multiset(gold.where.units, predicted.where.units),
        _multiset((c.unit for c in gold.where.units), (c.unit for c in predicted.where.units)),
        _multiset(_bare_columns(gold), _bare_columns(predicted)),
        _clause(_group(gold), _group(predicted)),
        _clause(_order(gold), _order(predicted)),
        _connectors(gold, predicted),
        _set_branches(gold, predicted),
        _multiset(_keywords(gold), _keywords(predicted)),
    ]


def _same_tables(gold: Query, predicted: Query) -> bool:
    if not gold.tables:
        return True
    for query in (gold, predicted):
        if len({table for table in query.tables if isinstance(table, Query)}) > 1:
            raise OfficialAbortError("two different sub-queries in one FROM cannot be put in order")
    return Counter(gold.tables) == Counter(predicted.tables)


def _multiset(gold: Iterable[Hashable], predicted: Iterable[Hashable]) -> PartialScore:
    of_gold, of_predicted = Counter(gold), Counter(predicted)
    return PartialScore(of_gold.total(), of_predicted.total(), of_gold == of_predicted)


def _clause(gold: object, predicted: object) -> PartialScore:
    """A clause that is there or not, and compared as a whole; absent on both sides agrees."""
    return PartialScore(int(gold is not None), int(predicted is not None), gold == predicted)


def _bare_columns(query: Query) -> list[str]:
    """GROUP BY's columns without their tables."""
    return [unit.column.split(".")[1] if "." in unit.column else unit.column for unit in query.group_by]


def _group(query: Query) -> object:
    """Columns in order and HAVING, as long as there is a GROUP BY."""
    return ([unit.column for unit in query.group_by], query.having) if query.group_by else None


def _order(query: Query) -> object:
    """One direction for all columns, and whether there is a limit; a limit alone is not seen here."""
    if query.direction is None:
        return None
    return query.direction, query.order_by, query.limit is None


def _connectors(gold: Query, predicted: Query) -> PartialScore:
    """The set of connectors of WHERE; equal sets count as one of one; unequal totals are swapped."""
    of_gold, of_predicted = _connector_set(gold.where), _connector_set(predicted.where)
    if of_gold == of_predicted:
        return PartialScore(1, 1, True)
    return PartialScore(gold=len(of_predicted), predicted=len(of_gold), correct=False)


def _connector_set(conditions: Conditions) -> set[Condition | str]:
    for item in conditions.connectors:
        if isinstance(item, Condition) and (isinstance(item.first, Query) or isinstance(item.second, Query)):
            raise OfficialAbortError("a sub-query slipped into a connector's place")
    return set(conditions.connectors)


def _set_branches(gold: Query, predicted: Query) -> PartialScore:
    """INTERSECT, EXCEPT, UNION: each branch by exact match of its own."""
    pairs = [(getattr(gold, name), getattr(predicted, name)) for name in ("intersect", "except_", "union")]
    of_gold = sum(g is not None for g, _ in pairs)
    of_predicted = sum(p is not None for _, p in pairs)
    matched = sum(compare(g, p)[0] for g, p in pairs if g is not None and p is not None)
    return PartialScore(of_gold, of_predicted, of_gold == of_predicted == matched)


def _keywords(query: Query) -> set[str]:
    conditions = _all_conditions(query)
    present = {
        "where": query.where.items,
        "group": query.group_by,
        "having": query.having.items,
        "order": query.direction is not None,
        query.direction: query.direction is not None,
        "limit": query.limit is not None,
        "except": query.except_,
        "union": query.union,
        "intersect": query.intersect,
        "or": "or" in _all_connectors(query),
        "not": any(c.negated for c in conditions),
        "in": any(c.comparison == "in" for c in conditions),
        "like": any(c.comparison == "like" for c in conditions),
    }
    return {word for word, there in present.items() if there and word is not None}


def _all_conditions(query: Query) -> list[Condition]:
    return [*query.on.units, *query.where.units, *query.having.units]


def _all_connectors(query: Query) -> list[Condition | str]:
    return [*query.on.connectors, *query.where.connectors, *query.having.connectors]


def _clauses(query: Query) -> int:
    there = (query.where.items, query.group_by, query.direction is not None, query.limit is not None)
    likes = sum(c.comparison == "like" for c in _all_conditions(query))
    joins = max(len(query.tables) - 1, 0)
    return sum(map(bool, there)) + joins + _all_connectors(query).count("or") + likes


def _nested(query: Query) -> int:
    values = [value for c in _all_conditions(query) for value in (c.first, c.second)]
    branches = (query.intersect, query.except_, query.union)
    return sum(isinstance(value, Query) for value in (*values, *branches))


def _plurals(query: Query) -> int:
    columns = [unit for value in query.order_by for unit in (value.left, value.right) if unit is not None]
    aggregates = sum(aggregate != "none" for aggregate, _ in query.select)
    aggregates += sum(unit.aggregate != "none" for unit in (*query.group_by, *columns))
    aggregates += sum(c.negated for c in query.where.units)
    aggregates += sum(not isinstance(item, Condition) or item.negated for item in query.having.items)
    plural = (aggregates, len(query.select), len(query.where.items), len(query.group_by))
    return sum(count > 1 for count in plural)
