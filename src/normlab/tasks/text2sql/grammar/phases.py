"""What a query being written is: the keywords, the phases of writing it, and the scope of each SELECT on its way."""

from __future__ import annotations

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


class Scope(NamedTuple):
    """One query being written. A tuple, since a search makes, compares and hashes thousands of them a question.

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
