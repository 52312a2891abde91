"""The grammar as one table: for each phase of a query, what may come next, which phase follows, what is still to pay.

`PHASES` is all there is to know about the order of actions; `automaton` only reads it. A way on is a group of actions
with the phase that they lead to and a condition. Costs are the fewest actions that finish the query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum, auto
from typing import NamedTuple

AGGREGATES = ("max", "min", "count", "sum", "avg")
ARITHMETIC = ("-", "+", "*", "/")
COMPARISONS = ("=", ">", "<", ">=", "<=", "!=", "in", "like", "between")
SET_OPERATIONS = ("intersect", "union", "except")


class Phase(IntEnum):
    """What comes next in a query. A unit is a column, perhaps in an aggregate; two units make a sum."""

    FROM = auto()
    FROM_NEXT = auto()  # FROM has what it needs and may go on
    CONDITION = auto()
    CONDITION_AGGREGATE = auto()  # inside MAX( and the like
    CONDITION_COUNT = auto()
    CONDITION_DISTINCT = auto()
    CONDITION_SECOND = auto()  # the second unit of a sum
    CONDITION_UNIT = auto()  # a unit is written
    CONDITION_SUM = auto()  # a sum, or what takes no part in one, is written
    CONDITION_NOT = auto()
    CONDITION_VALUE = auto()
    CONDITION_LIKE = auto()
    CONDITION_IN = auto()
    CONDITION_LOW = auto()  # the first value of BETWEEN
    CONDITION_NEXT = auto()
    CONDITION_COLUMN_NEXT = auto()  # compared with a column
    GROUP = auto()
    GROUP_NEXT = auto()
    SELECT = auto()
    SELECT_FIRST = auto()  # after SELECT DISTINCT
    SELECT_AGGREGATE = auto()
    SELECT_COUNT = auto()
    SELECT_DISTINCT = auto()
    SELECT_SECOND = auto()
    SELECT_STAR = auto()
    SELECT_UNIT = auto()
    SELECT_NEXT = auto()
    ORDER = auto()
    ORDER_AGGREGATE = auto()
    ORDER_COUNT = auto()
    ORDER_DISTINCT = auto()
    ORDER_SECOND = auto()
    ORDER_UNIT = auto()
    ORDER_NEXT = auto()
    ORDERED = auto()
    LIMIT = auto()
    LIMITED = auto()


@dataclass(frozen=True)
class Scope:
    """One query being written.

    Attributes:
        phase: what comes next.
        tables: numbers of the tables in FROM.
        items: how many SELECT items are written.
        width: how many the surroundings ask for; 0 if any number will do.
        having: whether the condition being written stands in HAVING, not WHERE.
        inner: whether it is a sub-query.
        derived: whether FROM holds a sub-query, whose columns the official parser does not know.
        grouped: whether there is a GROUP BY.
        compound: whether it is the second branch of a set operation.
    """

    phase: Phase = Phase.FROM
    tables: tuple[int, ...] = ()
    items: int = 0
    width: int = 0
    having: bool = False
    inner: bool = False
    derived: bool = False
    grouped: bool = False
    compound: bool = False

    @property
    def missing(self) -> int:
        """How many SELECT items must still be written; a query has at least one."""
        return max(max(self.width, 1) - self.items, 0)

    def closing(self) -> int:
        """Return the fewest actions that finish this scope, its END or CLOSE included."""
        return PHASES[self.phase].cost(self)

    def after(self, kind: str, text: int | str) -> Scope:
        """Return the scope after an action that does not open or close one; see `automaton.Action`."""
        scope = replace(self, phase=_NEXT[self.phase][_key(kind, text)])
        if kind == "table":
            return replace(scope, tables=(*self.tables, int(text)))
        if kind == "column" and self.phase in _ITEMS:
            return replace(scope, items=self.items + 1)
        return scope._after_keyword(self, str(text)) if kind == "word" else scope

    def _after_keyword(self, before: Scope, text: str) -> Scope:
        """Return this scope, whose phase has moved already, with what else a keyword changes."""
        if text in SET_OPERATIONS:
            return Scope(width=self.items, inner=self.inner, compound=True)
        if text in ARITHMETIC and before.phase in _ITEMS:  # the item goes on
            return replace(self, items=self.items - 1)
        if text in ("where", "having"):
            return replace(self, having=text == "having")
        return replace(self, grouped=True) if text == "group" else self

    def around(self) -> Scope:
        """Return this scope while a sub-query in it is open: it stands where it goes on afterwards."""
        return replace(self, phase=_NEXT[self.phase]["("], derived=self.phase is Phase.FROM or self.derived)


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

_NEXT = {
    phase: {
        "value" if what in ("text value", "whole number") else what: way.to for way in row.ways for what in way.what
    }
    for phase, row in PHASES.items()
}
_ITEMS = frozenset(phase for phase in Phase if phase.name.startswith("SELECT"))


def _key(kind: str, text: int | str) -> str:
    """Return by which name the table has an action."""
    if kind == "word":
        return str(text)
    return "all columns" if kind == "column" and text == 0 else kind
