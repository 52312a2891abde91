"""A parsed query, as plain values whose equality is the evaluator's equality.

The shape follows Spider's: a query is clauses, a clause is units, a unit is an operator and columns by
identifier (`__table.column__`, `__all__` for `*`).
"""

from __future__ import annotations

from dataclasses import dataclass, field


class ParseError(ValueError):
    """The query lies outside the official script's SQL; it scores 0 there."""


class OfficialAbortError(ValueError):
    """The official script stops with a traceback at this pair, and so gives no score for the whole file."""


AGGREGATES = ("none", "max", "min", "count", "sum", "avg")
OPERATORS = ("none", "-", "+", "*", "/")
COMPARISONS = ("not", "between", "=", ">", "<", ">=", "<=", "!=", "in", "like", "is", "exists")
CLAUSES = frozenset(("select", "from", "where", "group", "order", "limit", "intersect", "union", "except"))
JOIN_WORDS = frozenset(("join", "on", "as"))
SET_OPERATIONS = ("intersect", "union", "except")
STAR = "__all__"


@dataclass(frozen=True, slots=True)
class ColumnUnit:
    """`[aggregate] ( [DISTINCT] column )`; `distinct` is None once it is out of the comparison."""

    aggregate: str
    column: str
    distinct: bool | None


@dataclass(frozen=True, slots=True)
class ValueUnit:
    """A column, or two joined by an arithmetic operator."""

    operator: str
    left: ColumnUnit
    right: ColumnUnit | None


@dataclass(frozen=True, slots=True)
class Condition:
    """`unit [NOT] comparison value [AND value]`; None is a dropped constant or no value."""

    negated: bool
    comparison: str
    unit: ValueUnit
    first: Value
    second: Value


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions and connectors in one list, read by even and odd places, as in the official script.

    That parser lets a connector be missing, which shifts the places: then a condition is read as a connector.
    """

    items: tuple[Condition | str, ...] = ()

    @property
    def units(self) -> tuple[Condition, ...]:
        """The even places. Raises `OfficialAbortError` if a connector stands there, as the script does."""
        units = tuple(item for item in self.items[::2] if isinstance(item, Condition))
        if len(units) < len(self.items[::2]):
            raise OfficialAbortError("a connector is missing between two conditions")
        return units

    @property
    def connectors(self) -> tuple[Condition | str, ...]:
        """The odd places: `and`, `or`, or a condition that slipped there."""
        return self.items[1::2]


@dataclass(frozen=True, slots=True)
class Query:
    """One SELECT with everything that hangs on it."""

    select: tuple[tuple[str, ValueUnit], ...] = ()
    distinct: bool | None = False
    tables: tuple[str | Query, ...] = ()
    on: Conditions = field(default_factory=Conditions)
    where: Conditions = field(default_factory=Conditions)
    group_by: tuple[ColumnUnit, ...] = ()
    having: Conditions = field(default_factory=Conditions)
    direction: str | None = None
    order_by: tuple[ValueUnit, ...] = ()
    limit: int | None = None
    intersect: Query | None = None
    union: Query | None = None
    except_: Query | None = None


Value = Query | ColumnUnit | str | float | None
