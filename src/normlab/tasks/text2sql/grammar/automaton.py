"""The SQL that the decoder may write, as actions in execution order, and the automaton that masks all others.

A query is FROM, WHERE, GROUP BY, HAVING, SELECT, ORDER BY, LIMIT and set operations, so that tables are
chosen before their columns; no aliases and no ON, which follow from the foreign keys. States are
immutable: a stack of scopes, one for each open sub-query. Every complete sequence parses in the official
script and runs in SQLite, which takes rules like these: one column in a sub-query, equally wide branches,
no aggregate in WHERE.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from normlab.data.sql.schema import Schema

Action = tuple[Literal["word", "table", "column", "value"], int | str]
"""A keyword, the number of a table or column in the schema, or a value as SQL text, strings in quotes."""

AGGREGATES = ("max", "min", "count", "sum", "avg")
ARITHMETIC = ("-", "+", "*", "/")
COMPARISONS = ("=", ">", "<", ">=", "<=", "!=", "in", "like", "between")
SET_OPERATIONS = ("intersect", "union", "except")


def word(text: str) -> Action:
    """Return the action of a keyword."""
    return ("word", text)


END, OPEN, CLOSE = word("end"), word("("), word(")")


@dataclass(frozen=True)
class _Scope:
    """One query being written.

    `phase` says what comes next; one that ends in "+" has what it needs and may go on. `width` is the
    number of SELECT items that the surroundings ask for, 0 if any; `derived` means that FROM holds a
    sub-query, whose columns the official parser does not know.
    """

    phase: str = "from"
    tables: tuple[int, ...] = ()
    items: int = 0
    width: int = 0
    clause: str = "where"
    inner: bool = False
    derived: bool = False
    grouped: bool = False
    compound: bool = False

    def closing(self) -> int:
        """Fewest actions that finish this scope, its END or CLOSE included."""
        missing = max(max(self.width, 1) - self.items, 0)
        select = 2 + missing + self.derived
        return {
            "from": 1 + select,
            "from+": select,
            "cond": 3 + select,
            "cond agg": 3 + select,
            "cond count": 3 + select,
            "cond column": 3 + select,
            "cond unit": 2 + select,
            "cond not": 3 + select,  # BETWEEN is always there, IN and LIKE may not be
            "cond sum": 2 + select,
            "cond value": 1 + select,
            "cond like": 1 + select,
            "cond in": 4 + 1 + select,
            "cond low": 2 + select,
            "cond+": select,
            "cond column+": select,
            "group": 1 + select,
            "group+": select,
            "select": missing + 1 + self.derived,
            "select first": missing + 1 + self.derived,
            "select distinct": max(missing, 1) + 1,
            "cond distinct": 3 + select,
            "order distinct": 3,
            "select agg": max(missing, 1) + 1,
            "select count": max(missing, 1) + 1,
            "select star": 1,
            "select column": max(missing, 1) + 1,
            "select unit": missing + 1,
            "select+": missing + 1,
            "order": 3,
            "order agg": 3,
            "order count": 3,
            "order column": 3,
            "order unit": 2,
            "order+": 2,
            "ordered+": 1,
            "limit": 2,
            "limited+": 1,
        }[self.phase]


@dataclass(frozen=True)
class State:
    """The open scopes, outermost first; empty once the query is complete."""

    scopes: tuple[_Scope, ...] = (_Scope(),)

    @property
    def complete(self) -> bool:
        """Whether the query has ended."""
        return not self.scopes

    def closing(self) -> int:
        """Fewest actions that complete the query."""
        return sum(scope.closing() for scope in self.scopes)


class Grammar:
    """The automaton over one schema.

    Args:
        schema: whose tables and columns may be named.
        depth: most sub-queries inside one another.
        tables: most tables in one FROM.
    """

    def __init__(self, schema: Schema, *, depth: int = 3, tables: int = 8) -> None:
        self.schema = schema
        self._depth = depth
        self._max_tables = tables
        self._columns_of = [schema.columns_of(table) for table in range(len(schema.tables))]

    def allowed(self, state: State, values: tuple[str, ...], budget: int = 1000) -> list[Action]:
        """Return the actions that may come next and can still be completed within the budget.

        Args:
            state: any state that `advance` made; none follows a complete one.
            values: candidates for constants, as SQL text.
            budget: actions left, the one to choose included.
        """
        if state.complete:
            return []
        found = self.following(state, values)
        return [action for action in found if self.advance(state, action).closing() < budget]

    def following(self, state: State, values: tuple[str, ...]) -> list[Action]:
        """Return the actions that may come next, however many more they ask for; the state is not complete."""
        if not any(value.isdigit() for value in values):
            values = (*values, "1")
        return list(self._next(state, values))

    def may_nest(self, state: State) -> bool:
        """Tell whether one more sub-query may be opened."""
        return len(state.scopes) <= self._depth

    def advance(self, state: State, action: Action) -> State:
        """Return the state after an action that `allowed` gave."""
        *outer, scope = state.scopes
        if action in (END, CLOSE):
            return State(tuple(outer))
        if action == OPEN:
            width = 0 if scope.phase == "from" else 1
            return State((*outer, self._enter(scope), _Scope(width=width, inner=True)))
        return State((*outer, self._move(scope, action)))

    def _enter(self, scope: _Scope) -> _Scope:
        """The outer scope while a sub-query is open: it stands where it will go on."""
        if scope.phase == "from":
            return replace(scope, phase="from+", derived=True)
        return replace(scope, phase="cond+")

    def _move(self, scope: _Scope, action: Action) -> _Scope:
        kind, text = action
        phase = scope.phase
        part = phase.split(" ")[0].rstrip("+")
        if kind == "table":
            return replace(scope, phase="from+", tables=(*scope.tables, int(text)))
        if kind == "value":
            following = {"cond low": "cond value", "limit": "limited+"}
            return replace(scope, phase=following.get(phase, "cond+"))
        if kind == "column":
            return self._column(scope, part, star=text == 0)
        if text in ("where", "having"):
            return replace(scope, phase="cond", clause=str(text))
        if text in ("and", "or"):
            return replace(scope, phase="cond")
        if text == "group":
            return replace(scope, phase="group", grouped=True)
        if text in ("select", "order", "limit"):
            return replace(scope, phase=str(text))
        if text in ("asc", "desc"):
            return replace(scope, phase="ordered+")
        if text in SET_OPERATIONS:
            return _Scope(width=scope.items, inner=scope.inner, compound=True)
        if text == "not":
            return replace(scope, phase="cond not")
        if phase in ("cond unit", "cond not", "cond sum"):
            if text in ARITHMETIC:
                return replace(scope, phase="cond column")
            return replace(scope, phase=_AFTER_COMPARISON.get(str(text), "cond value"))
        if text in ARITHMETIC:  # the item or unit is not over yet
            return replace(scope, phase=f"{part} column", items=scope.items - (part == "select"))
        if text == "distinct":
            return replace(scope, phase="select first" if phase == "select" else f"{part} distinct")
        return replace(scope, phase=f"{part} count" if text == "count" else f"{part} agg")

    def _column(self, scope: _Scope, part: str, star: bool) -> _Scope:
        """After a column. An arithmetic operator may follow only the first column of a unit, and no `*`."""
        phase = scope.phase
        if part == "group":
            return replace(scope, phase="group+")
        if part == "order":
            whole = star or phase in ("order column", "order distinct")
            return replace(scope, phase="order+" if whole else "order unit")
        if part == "cond":
            if phase == "cond value":
                return replace(scope, phase="cond column+")
            whole = star or phase in ("cond column", "cond distinct")
            return replace(scope, phase="cond sum" if whole else "cond unit")
        if star and phase == "select":
            return replace(scope, phase="select star", items=1)
        whole = star or phase in ("select column", "select distinct")
        return replace(scope, phase="select+" if whole else "select unit", items=scope.items + 1)

    def _next(self, state: State, values: tuple[str, ...]) -> Iterator[Action]:
        scope = state.scopes[-1]
        phase = scope.phase
        nest = self.may_nest(state)
        if phase == "from":
            yield from (("table", table) for table in range(len(self.schema.tables)))
            if nest and not scope.inner and not scope.compound:
                yield OPEN
        elif phase == "from+":
            if not scope.derived:
                yield from self._joinable(scope)
                yield from map(word, ("where", "group"))
            yield word("select")
        elif phase.startswith("cond"):
            yield from self._condition(scope, values, nest)
        elif phase in ("group", "group+"):
            yield from self._columns(scope)
            if phase == "group+":
                yield from map(word, ("having", "select"))
        elif phase.startswith("select"):
            yield from self._select(scope)
        elif phase.startswith("order"):
            yield from self._order(scope)
        elif phase == "limit":
            yield from (("value", value) for value in values if value.isdigit())
        if phase in _MAY_END and scope.items >= scope.width:
            yield CLOSE if scope.inner else END

    def _joinable(self, scope: _Scope) -> Iterator[Action]:
        if len(scope.tables) < self._max_tables:
            yield from (("table", table) for table in range(len(self.schema.tables)))

    def _columns(self, scope: _Scope) -> Iterator[Action]:
        seen = sorted({column for table in scope.tables for column in self._columns_of[table]})
        yield from (("column", column) for column in seen)

    def _aggregated(self, scope: _Scope) -> Iterator[Action]:
        """What may stand inside an aggregate's parentheses."""
        yield from self._columns(scope)
        if scope.phase.endswith("count"):
            yield ("column", 0)
        if not scope.derived:
            yield word("distinct")

    def _condition(self, scope: _Scope, values: tuple[str, ...], nest: bool) -> Iterator[Action]:
        phase = scope.phase
        texts = [value for value in values if value.startswith("'")]
        if phase in ("cond agg", "cond count"):
            yield from self._aggregated(scope)
        elif phase in ("cond", "cond column", "cond distinct"):
            yield from self._columns(scope)
            if phase == "cond" and scope.clause == "having":
                yield from map(word, AGGREGATES)
        elif phase in ("cond unit", "cond sum", "cond not"):
            comparisons = _NEGATABLE if phase == "cond not" else COMPARISONS
            yield from (word(c) for c in comparisons if (c != "in" or nest) and (c != "like" or texts))
            yield from map(word, {"cond unit": (*ARITHMETIC, "not"), "cond sum": ("not",)}.get(phase, ()))
        elif phase == "cond like":
            yield from (("value", value) for value in texts)
        elif phase in ("cond value", "cond low"):
            yield from (("value", value) for value in values)
        if phase == "cond value" and scope.clause == "where":
            yield from self._columns(scope)
        if phase in ("cond value", "cond in") and nest:
            yield OPEN
        if phase in ("cond+", "cond column+"):
            yield from map(word, ("and", "select"))
            if phase == "cond+":  # after a column the official parser skips all up to the next AND
                yield word("or")
            if scope.clause == "where":
                yield word("group")

    def _select(self, scope: _Scope) -> Iterator[Action]:
        phase = scope.phase
        if phase in ("select agg", "select count"):
            yield from self._aggregated(scope)
        elif phase in ("select column", "select distinct"):
            yield from self._columns(scope)
        elif phase != "select star" and not (scope.width and scope.items >= scope.width):
            yield from self._columns(scope)
            yield from map(word, ("count",) if scope.derived else AGGREGATES)
            if phase == "select":
                if not scope.width and not scope.compound:
                    yield ("column", 0)
                yield word("distinct")
        if phase == "select unit":
            yield from map(word, ARITHMETIC)
        if phase in ("select+", "select unit", "select star") and scope.items >= scope.width:
            if not scope.compound:
                yield from map(word, ("limit",) if scope.derived else ("order", "limit"))
            if phase != "select star":
                yield from map(word, SET_OPERATIONS)

    def _order(self, scope: _Scope) -> Iterator[Action]:
        phase = scope.phase
        if phase == "ordered+":
            yield word("limit")
        elif phase in ("order agg", "order count"):
            yield from self._aggregated(scope)
        else:
            yield from self._columns(scope)
            if scope.grouped and phase in ("order", "order+"):
                yield from map(word, AGGREGATES)
            if phase == "order unit":
                yield from map(word, ARITHMETIC)
            if phase in ("order+", "order unit"):
                yield from map(word, ("asc", "desc"))


_NEGATABLE = ("in", "like", "between")
_MAY_END = frozenset(("select+", "select unit", "select star", "ordered+", "limited+"))
_AFTER_COMPARISON = {"in": "cond in", "like": "cond like", "between": "cond low"}
