"""The SQL that the decoder may write, as actions in execution order, and the automaton that masks all others.

A query is FROM, WHERE, GROUP BY, HAVING, SELECT, ORDER BY, LIMIT and set operations, so that tables are
chosen before their columns; no aliases and no ON, which follow from the foreign keys. States are
immutable: a stack of scopes, one for each open sub-query. Every complete sequence parses in the official
script and runs in SQLite, which takes rules like these: one column in a sub-query, equally wide branches,
no aggregate in WHERE. The rules stand in `phase_table`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.grammar.moves import after, around, closing
from normlab.tasks.text2sql.grammar.phase_table import PHASES, Here
from normlab.tasks.text2sql.grammar.phases import Phase, Scope

Action = tuple[Literal["word", "table", "column", "value"], int | str]
"""A keyword, the number of a table or column in the schema, or a value as SQL text, strings in quotes."""


def word(text: str) -> Action:
    """Return the action of a keyword."""
    return ("word", text)


END, OPEN, CLOSE = word("end"), word("("), word(")")


class State(NamedTuple):
    """The open scopes, outermost first; empty once the query is complete."""

    scopes: tuple[Scope, ...] = (Scope(),)

    @property
    def complete(self) -> bool:
        """Whether the query has ended."""
        return not self.scopes

    def closing(self) -> int:
        """Return the fewest actions that complete the query."""
        return sum(map(closing, self.scopes))


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
        self._columns_of: list[list[int]] = [[] for _ in schema.tables]
        for number, column in enumerate(schema.columns):
            if column.table >= 0:
                self._columns_of[column.table].append(number)

    def allowed(self, state: State, values: tuple[str, ...], budget: int = 1000) -> list[Action]:
        """Return the actions that may come next and can still be completed within the budget.

        Args:
            state: any state that `advance` made; none follows a complete one.
            values: candidates for constants, as SQL text.
            budget: actions left, the one to choose included.
        """
        if state.complete:
            return []
        actions = self.following(state, values)
        return [action for action in actions if self.advance(state, action).closing() < budget]

    def following(self, state: State, values: tuple[str, ...]) -> list[Action]:
        """Return the actions that may come next, however many more they ask for; the state is not complete."""
        if not any(value.isdigit() for value in values):
            values = (*values, "1")
        texts = any(value.startswith("'") for value in values)
        scope = state.scopes[-1]
        return [action for what in self.groups(state, texts) for action in self._actions(what, scope, values)]

    def may_nest(self, state: State) -> bool:
        """Tell whether one more sub-query may be opened."""
        return len(state.scopes) <= self._depth

    def advance(self, state: State, action: Action) -> State:
        """Return the state after an action that `allowed` gave."""
        *outer, scope = state.scopes
        if action in (END, CLOSE):
            return State(tuple(outer))
        if action == OPEN:
            width = 0 if scope.phase is Phase.FROM else 1
            return State((*outer, around(scope), Scope(width=width, inner=True)))
        return State((*outer, after(scope, *action)))

    def groups(self, state: State, texts: bool = True) -> Iterator[str]:
        """Yield the names, as in the table of phases, of what may come next; the state is not complete.

        Args:
            texts: whether a candidate for constants is a text.
        """
        scope = state.scopes[-1]
        here = Here(scope, self.may_nest(state), len(scope.tables) < self._max_tables, texts)
        phase = PHASES[scope.phase]
        for way in phase.ways:
            if way.when(here):
                yield from way.what
        if phase.may_end and scope.items >= scope.width:
            yield ")" if scope.inner else "end"

    def columns_of(self, tables: Iterable[int]) -> list[int]:
        """Return the numbers of these tables' columns, each once, in order."""
        return sorted({column for table in tables for column in self._columns_of[table]})

    def _actions(self, what: str, scope: Scope, values: tuple[str, ...]) -> Iterable[Action]:
        """Yield the actions of one name in the table of phases."""
        if what == "table":
            return (("table", table) for table in range(len(self.schema.tables)))
        if what == "column":
            return (("column", column) for column in self.columns_of(scope.tables))
        if what == "all columns":
            return (("column", 0),)
        if what == "value":
            return (("value", value) for value in values)
        if what == "text value":
            return (("value", value) for value in values if value.startswith("'"))
        if what == "whole number":
            return (("value", value) for value in values if value.isdigit())
        return (word(what),)
