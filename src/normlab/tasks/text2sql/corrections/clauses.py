"""A decoder's query as clauses that a rule can change, and back to actions.

Only one SELECT over tables, whose conditions may hold sub-queries; a set operation or a query in FROM stays as it is. A
part of the text that the grammar has no action for, such as `strftime('%Y', day)`, is a value action of that text:
`to_sql` writes values as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from normlab.data.sql.names import column_name
from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.grammar.automaton import CLOSE, END, OPEN, Action, word
from normlab.tasks.text2sql.grammar.phases import AGGREGATES, ARITHMETIC, COMPARISONS

Unit = tuple[Action, ...]
"""A column, a value, an aggregate of one, a sum of two, or a sub-query in parentheses."""


@dataclass(frozen=True)
class Condition:
    """`unit [NOT] comparison values`; BETWEEN has two values."""

    unit: Unit
    comparison: str
    values: tuple[Unit, ...]
    negated: bool = False

    @property
    def column(self) -> int | None:
        """The column's number, None where more than a bare column is compared."""
        return bare_column(self.unit)

    @property
    def constants(self) -> tuple[str, ...]:
        """SQL texts of the constants that it compares with."""
        return tuple(str(value[0][1]) for value in self.values if len(value) == 1 and value[0][0] == "value")


@dataclass(frozen=True)
class Clauses:
    """One SELECT.

    Attributes:
        tables: of FROM, joined by their keys.
        where, having: conditions, and between them `and` or `or`.
        group: columns.
        select, order: units; direction: asc or desc, "" without an order.
        limit: a number as text, "" for none; an OFFSET may stand behind it.
        out_of: rows of which the query counts a part, where the question asks for a percentage.
        told: lines that a reader has to know of what a rule wrote.
        doubt: why the query must not be run, "" for nothing: what is asked for has no query that rules are sure of.
    """

    tables: tuple[int, ...]
    select: tuple[Unit, ...]
    where: tuple[Condition, ...] = ()
    connectors: tuple[str, ...] = ()
    group: tuple[Unit, ...] = ()
    having: tuple[Condition, ...] = ()
    having_connectors: tuple[str, ...] = ()
    distinct: bool = False
    order: tuple[Unit, ...] = ()
    direction: str = ""
    limit: str = ""
    out_of: Clauses | None = None
    told: tuple[str, ...] = ()
    doubt: str = ""

    def with_condition(self, condition: Condition) -> Clauses:
        """Return it with one more condition that must hold; there is no OR."""
        connectors = (*self.connectors, "and") if self.where else ()
        return replace(self, where=(*self.where, condition), connectors=connectors)

    def without_condition(self, index: int) -> Clauses:
        """Return it without one of its conditions; there is no OR."""
        return self.with_where(self.where[:index] + self.where[index + 1 :])

    def with_where(self, where: tuple[Condition, ...]) -> Clauses:
        """Return it with these conditions instead, all of which must hold."""
        return replace(self, where=where, connectors=("and",) * max(0, len(where) - 1))

    @property
    def nests(self) -> bool:
        """Whether a condition holds a sub-query, or more than a bare constant or column."""
        return any(len(value) > 1 for one in (*self.where, *self.having) for value in one.values)

    @property
    def columns(self) -> frozenset[int]:
        """All columns that it names anywhere, sub-queries included."""
        return frozenset(int(text) for kind, text in self.actions() if kind == "column")

    @property
    def aggregates(self) -> bool:
        """Whether SELECT has an aggregate."""
        return any(is_aggregate(unit) for unit in self.select)

    @property
    def only_and(self) -> bool:
        """Whether all conditions of WHERE must hold."""
        return "or" not in self.connectors

    def actions(self) -> list[Action]:
        """Return its actions, END last."""
        actions: list[Action] = [("table", table) for table in self.tables]
        for clause, conditions, connectors in (
            ("where", self.where, self.connectors),
            ("group", (), ()),
            ("having", self.having, self.having_connectors),
        ):
            if clause == "group" and self.group:
                actions += [word("group"), *(action for unit in self.group for action in unit)]
            for index, condition in enumerate(conditions):
                actions += [word(connectors[index - 1] if index else clause), *_written(condition)]
        actions += [word("select"), *([word("distinct")] if self.distinct else [])]
        actions += [action for unit in self.select for action in unit]
        if self.order:
            actions += [word("order"), *(action for unit in self.order for action in unit), word(self.direction)]
        return [*actions, *([word("limit"), ("value", self.limit)] if self.limit else []), END]


def bare_column(unit: Unit) -> int | None:
    """Return the column's number if a unit is a column and nothing else."""
    return int(unit[0][1]) if len(unit) == 1 and unit[0][0] == "column" else None


def is_aggregate(unit: Unit) -> bool:
    """Tell whether a unit is an aggregate."""
    return unit[0][0] == "word" and unit[0][1] in AGGREGATES


def column_unit(column: int) -> Unit:
    """Return the unit that is a column."""
    return (("column", column),)


COUNT: Unit = (word("count"), ("column", 0))
"""`count(*)`."""


def function_unit(pattern: str, column: int, tables: Sequence[int], schema: Schema) -> Unit:
    """Return an SQL function of a column as a unit of a query over some tables: `pattern` has {} for the column."""
    name = column_name(schema.columns[column].name)
    alias = f"T{tables.index(schema.columns[column].table) + 1}." if len(tables) > 1 else ""
    return (("value", pattern.format(alias + name)),)


def read_clauses(actions: Sequence[Action]) -> Clauses | None:
    """Return a complete query's clauses; None if it has a set operation or a query in FROM."""
    return _Reader(actions).clauses()


def _written(condition: Condition) -> list[Action]:
    negation = [word("not")] if condition.negated else []
    return [*condition.unit, *negation, word(condition.comparison), *(a for value in condition.values for a in value)]


class _Reader:
    """A cursor over the actions of one query."""

    def __init__(self, actions: Sequence[Action]) -> None:
        self._actions = actions
        self._at = 0

    def clauses(self) -> Clauses | None:
        tables = []
        while self._kind == "table":
            tables.append(int(self._take()[1]))
        if not tables:
            return None
        clauses = Clauses(tuple(tables), ())
        if self._passed("where"):
            where, connectors = self._conditions()
            clauses = replace(clauses, where=where, connectors=connectors)
        if self._passed("group"):
            clauses = replace(clauses, group=self._units())
        if self._passed("having"):
            having, connectors = self._conditions()
            clauses = replace(clauses, having=having, having_connectors=connectors)
        if not self._passed("select"):
            return None
        clauses = replace(clauses, distinct=self._passed("distinct"))
        clauses = replace(clauses, select=self._units())
        if self._passed("order"):
            clauses = replace(clauses, order=self._units(), direction=str(self._take()[1]))
        if self._passed("limit"):
            clauses = replace(clauses, limit=str(self._take()[1]))
        return clauses if self._actions[self._at] == END else None

    @property
    def _kind(self) -> str:
        return self._actions[self._at][0]

    def _take(self) -> Action:
        self._at += 1
        return self._actions[self._at - 1]

    def _passed(self, text: str) -> bool:
        """Whether a keyword stands here; the cursor goes past it."""
        here = self._actions[self._at] == word(text)
        self._at += here
        return here

    def _conditions(self) -> tuple[tuple[Condition, ...], tuple[str, ...]]:
        conditions, connectors = [self._condition()], []
        while self._actions[self._at] in (word("and"), word("or")):
            connectors.append(str(self._take()[1]))
            conditions.append(self._condition())
        return tuple(conditions), tuple(connectors)

    def _condition(self) -> Condition:
        unit, negated = self._unit(), self._passed("not")
        comparison = str(self._take()[1])
        assert comparison in COMPARISONS
        values = [self._operand()]
        if comparison == "between":
            values.append(self._operand())
        return Condition(unit, comparison, tuple(values), negated)

    def _units(self) -> tuple[Unit, ...]:
        units = []
        while self._kind in ("column", "value") or (self._kind == "word" and self._actions[self._at][1] in AGGREGATES):
            units.append(self._unit())
        return tuple(units)

    def _unit(self) -> Unit:
        unit = self._operand()
        while self._kind == "word" and self._actions[self._at][1] in ARITHMETIC:
            unit += (self._take(), *self._operand())
        return unit

    def _operand(self) -> Unit:
        if self._actions[self._at] == OPEN:
            return self._nested()
        first = self._take()
        if first[0] != "word":
            return (first,)
        distinct = (self._take(),) if self._actions[self._at] == word("distinct") else ()
        return (first, *distinct, *self._operand())

    def _nested(self) -> Unit:
        """Everything to the parenthesis that closes this one."""
        start, depth = self._at, 0
        while True:
            action = self._take()
            depth += (action == OPEN) - (action == CLOSE)
            if not depth:
                return tuple(self._actions[start : self._at])
