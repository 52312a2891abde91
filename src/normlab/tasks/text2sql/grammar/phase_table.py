"""The grammar as one table: for each phase of a query, what may come next, which phase follows, what is still to pay.

`PHASES` is all there is to know about the order of actions; `moves` and `automaton` only read it. A way on is a group
of actions with the phase that they lead to and a condition. Costs are the fewest actions that finish the query.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from normlab.tasks.text2sql.grammar.phases import ARITHMETIC, SET_OPERATIONS, Phase, Scope


class Here(NamedTuple):
    """What the conditions of a way on may ask: the scope and what is at hand."""

    scope: Scope
    may_nest: bool
    may_join: bool
    has_text: bool


Condition = Callable[[Here], bool]


class Way(NamedTuple):
    """A group of actions that may come next.

    Attributes:
        what: keywords, or "table", "column" (of the tables in FROM), "all columns" (`*`), "value", "text value",
            "whole number", "(".
        to: the phase that they lead to; after "(" that of the outer query when the sub-query has ended.
        when: under which condition.
    """

    what: tuple[str, ...]
    to: Phase
    when: Condition = lambda here: True


class Row(NamedTuple):
    """What the table knows of a phase.

    Attributes:
        cost: the fewest actions that finish a scope in this phase.
        ways: what may come next, in order.
        may_end: whether the query may end here, if it has the items that it needs.
    """

    cost: Callable[[Scope], int]
    ways: tuple[Way, ...]
    may_end: bool = False


def _before_select(actions: int) -> Callable[[Scope], int]:
    """So many actions, then SELECT, its items, and the end; COUNT( and * over a sub-query make one item of two."""
    return lambda scope: actions + 2 + scope.missing + scope.derived


def _in_item(scope: Scope) -> int:
    return max(scope.missing, 1) + 1


def _between_items(scope: Scope) -> int:
    return scope.missing + 1


def _before_item(scope: Scope) -> int:
    return scope.missing + 1 + scope.derived


def _exactly(actions: int) -> Callable[[Scope], int]:
    return lambda _: actions


def _nests(here: Here) -> bool:
    return here.may_nest


def _in_where(here: Here) -> bool:
    return not here.scope.having


def _plain_from(here: Here) -> bool:
    return not here.scope.derived


def _wants_items(here: Here) -> bool:
    return not (here.scope.width and here.scope.items >= here.scope.width)


def _has_items(here: Here) -> bool:
    return here.scope.items >= here.scope.width


def _may_order(here: Here) -> bool:
    return _has_items(here) and not here.scope.compound and not here.scope.derived


def _may_limit(here: Here) -> bool:
    return _has_items(here) and not here.scope.compound


def _aggregates(aggregate: Phase, count: Phase, when: Condition) -> tuple[Way, ...]:
    """An aggregate opens. Over a sub-query COUNT(*) is all that the official parser reads."""

    def any_one(here: Here) -> bool:
        return when(here) and not here.scope.derived

    return (
        Way(("max", "min"), aggregate, any_one),
        Way(("count",), count, when),
        Way(("sum", "avg"), aggregate, any_one),
    )


def _inside_aggregate(unit: Phase, distinct: Phase) -> tuple[Way, ...]:
    return (Way(("column",), unit), Way(("distinct",), distinct, _plain_from))


def _inside_count(unit: Phase, whole: Phase, distinct: Phase) -> tuple[Way, ...]:
    return (Way(("column",), unit), Way(("all columns",), whole), Way(("distinct",), distinct, _plain_from))


_P = Phase
_COMPARED = Way(("=", ">", "<", ">=", "<=", "!="), _P.CONDITION_VALUE)
_NEGATABLE = (
    Way(("in",), _P.CONDITION_IN, _nests),
    Way(("like",), _P.CONDITION_LIKE, lambda here: here.has_text),
    Way(("between",), _P.CONDITION_LOW),
)
_NEGATION = Way(("not",), _P.CONDITION_NOT)
_ITEM = (
    Way(("column",), _P.SELECT_UNIT, _wants_items),
    *_aggregates(_P.SELECT_AGGREGATE, _P.SELECT_COUNT, _wants_items),
)
_AFTER_ITEMS = (Way(("order",), _P.ORDER, _may_order), Way(("limit",), _P.LIMIT, _may_limit))
_ANOTHER_QUERY = Way(SET_OPERATIONS, _P.FROM, _has_items)
_GROUPED_UNIT = _aggregates(_P.ORDER_AGGREGATE, _P.ORDER_COUNT, lambda here: here.scope.grouped)
_DIRECTION = Way(("asc", "desc"), _P.ORDERED)

PHASES: dict[Phase, Row] = {
    _P.FROM: Row(
        _before_select(1),
        (
            Way(("table",), _P.FROM_NEXT),
            Way(("(",), _P.FROM_NEXT, lambda here: here.may_nest and not here.scope.inner and not here.scope.compound),
        ),
    ),
    _P.FROM_NEXT: Row(
        _before_select(0),
        (
            Way(("table",), _P.FROM_NEXT, lambda here: here.may_join and not here.scope.derived),
            Way(("where",), _P.CONDITION, _plain_from),
            Way(("group",), _P.GROUP, _plain_from),
            Way(("select",), _P.SELECT),
        ),
    ),
    _P.CONDITION: Row(
        _before_select(3),
        (
            Way(("column",), _P.CONDITION_UNIT),
            *_aggregates(_P.CONDITION_AGGREGATE, _P.CONDITION_COUNT, lambda here: here.scope.having),
        ),
    ),
    _P.CONDITION_AGGREGATE: Row(_before_select(3), _inside_aggregate(_P.CONDITION_UNIT, _P.CONDITION_DISTINCT)),
    _P.CONDITION_COUNT: Row(
        _before_select(3), _inside_count(_P.CONDITION_UNIT, _P.CONDITION_SUM, _P.CONDITION_DISTINCT)
    ),
    _P.CONDITION_DISTINCT: Row(_before_select(3), (Way(("column",), _P.CONDITION_SUM),)),
    _P.CONDITION_SECOND: Row(_before_select(3), (Way(("column",), _P.CONDITION_SUM),)),
    _P.CONDITION_UNIT: Row(
        _before_select(2), (_COMPARED, *_NEGATABLE, Way(ARITHMETIC, _P.CONDITION_SECOND), _NEGATION)
    ),
    _P.CONDITION_SUM: Row(_before_select(2), (_COMPARED, *_NEGATABLE, _NEGATION)),
    _P.CONDITION_NOT: Row(_before_select(3), _NEGATABLE),  # BETWEEN is always there, IN and LIKE may not be
    _P.CONDITION_VALUE: Row(
        _before_select(1),
        (
            Way(("value",), _P.CONDITION_NEXT),
            Way(("column",), _P.CONDITION_COLUMN_NEXT, _in_where),
            Way(("(",), _P.CONDITION_NEXT, _nests),
        ),
    ),
    _P.CONDITION_LIKE: Row(_before_select(1), (Way(("text value",), _P.CONDITION_NEXT),)),
    _P.CONDITION_IN: Row(_before_select(5), (Way(("(",), _P.CONDITION_NEXT, _nests),)),
    _P.CONDITION_LOW: Row(_before_select(2), (Way(("value",), _P.CONDITION_VALUE),)),
    _P.CONDITION_NEXT: Row(
        _before_select(0),
        (
            Way(("and",), _P.CONDITION),
            Way(("select",), _P.SELECT),
            Way(("or",), _P.CONDITION),
            Way(("group",), _P.GROUP, _in_where),
        ),
    ),
    # No OR: after a column the official parser skips all up to the next AND.
    _P.CONDITION_COLUMN_NEXT: Row(
        _before_select(0),
        (Way(("and",), _P.CONDITION), Way(("select",), _P.SELECT), Way(("group",), _P.GROUP, _in_where)),
    ),
    _P.GROUP: Row(_before_select(1), (Way(("column",), _P.GROUP_NEXT),)),
    _P.GROUP_NEXT: Row(
        _before_select(0),
        (Way(("column",), _P.GROUP_NEXT), Way(("having",), _P.CONDITION), Way(("select",), _P.SELECT)),
    ),
    _P.SELECT: Row(
        _before_item,
        (
            *_ITEM,
            Way(("all columns",), _P.SELECT_STAR, lambda here: not here.scope.width and not here.scope.compound),
            Way(("distinct",), _P.SELECT_FIRST),
        ),
    ),
    _P.SELECT_FIRST: Row(_before_item, _ITEM),
    _P.SELECT_AGGREGATE: Row(_in_item, _inside_aggregate(_P.SELECT_UNIT, _P.SELECT_DISTINCT)),
    _P.SELECT_COUNT: Row(_in_item, _inside_count(_P.SELECT_UNIT, _P.SELECT_NEXT, _P.SELECT_DISTINCT)),
    _P.SELECT_DISTINCT: Row(_in_item, (Way(("column",), _P.SELECT_NEXT),)),
    _P.SELECT_SECOND: Row(_in_item, (Way(("column",), _P.SELECT_NEXT),)),
    _P.SELECT_STAR: Row(_exactly(1), _AFTER_ITEMS, may_end=True),
    _P.SELECT_UNIT: Row(
        _between_items,
        (*_ITEM, Way(ARITHMETIC, _P.SELECT_SECOND), *_AFTER_ITEMS, _ANOTHER_QUERY),
        may_end=True,
    ),
    _P.SELECT_NEXT: Row(_between_items, (*_ITEM, *_AFTER_ITEMS, _ANOTHER_QUERY), may_end=True),
    _P.ORDER: Row(_exactly(3), (Way(("column",), _P.ORDER_UNIT), *_GROUPED_UNIT)),
    _P.ORDER_AGGREGATE: Row(_exactly(3), _inside_aggregate(_P.ORDER_UNIT, _P.ORDER_DISTINCT)),
    _P.ORDER_COUNT: Row(_exactly(3), _inside_count(_P.ORDER_UNIT, _P.ORDER_NEXT, _P.ORDER_DISTINCT)),
    _P.ORDER_DISTINCT: Row(_exactly(3), (Way(("column",), _P.ORDER_NEXT),)),
    _P.ORDER_SECOND: Row(_exactly(3), (Way(("column",), _P.ORDER_NEXT),)),
    _P.ORDER_UNIT: Row(_exactly(2), (Way(("column",), _P.ORDER_UNIT), Way(ARITHMETIC, _P.ORDER_SECOND), _DIRECTION)),
    _P.ORDER_NEXT: Row(_exactly(2), (Way(("column",), _P.ORDER_UNIT), *_GROUPED_UNIT, _DIRECTION)),
    _P.ORDERED: Row(_exactly(1), (Way(("limit",), _P.LIMIT),), may_end=True),
    _P.LIMIT: Row(_exactly(2), (Way(("whole number",), _P.LIMITED),)),
    _P.LIMITED: Row(_exactly(1), (), may_end=True),
}
