"""The grammar as fast masks: what may follow, as numbers, cached by the state's innermost scope.

Which actions may come next depends on the innermost open query alone, and on whether one more may be opened. So they
are put together once for each scope that is met, out of numbers that are the same wherever the table of phases names
them, and every later question over the same schema finds them ready; so it does the scope after an action. How many
further actions each asks for is looked at only where the budget is close to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.grammar.actions import WORDS, action_of, number_of
from normlab.tasks.text2sql.grammar.automaton import END, Action, Grammar, State
from normlab.tasks.text2sql.grammar.linearize import written
from normlab.tasks.text2sql.grammar.phases import Scope

_KINDS = ("text", "digits", "other")
# Which kinds of values a name in the table of phases stands for.
_KINDS_OF = {"value": frozenset(_KINDS), "text value": frozenset({"text"}), "whole number": frozenset({"digits"})}
# One value of each kind that the grammar tells apart.
_STAND_INS = {"text": "'x'", "digits": "1", "other": "1.5"}
_MOST_ADDED = 8
_NESTING = frozenset(map(WORDS.index, ("end", "(", ")")))


class Allowed(NamedTuple):
    """What may follow a scope: (A,) numbers of keywords and schema items, and kinds of values: text, digits, other."""

    numbers: np.ndarray
    values: frozenset[str]


class Automaton:
    """One schema's grammar with numbered actions and cached answers."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.tables, self.columns = len(schema.tables), len(schema.columns)
        self.grammar = Grammar(schema)
        self._known: dict[tuple[Scope, bool], Allowed] = {}
        self._moved: dict[tuple[Scope, int], State] = {}
        self._columns_of: dict[frozenset[int], np.ndarray] = {}
        first = len(WORDS)
        self._fixed = {word: np.array([number]) for number, word in enumerate(WORDS)}
        self._fixed |= {
            "table": np.arange(first, first + self.tables),
            "all columns": np.array([first + self.tables]),
        }

    @property
    def size(self) -> int:
        """Keywords, tables and columns: the number of the first value candidate."""
        return len(WORDS) + self.tables + self.columns

    def allowed(self, state: State, kinds: tuple[str, ...], budget: int) -> np.ndarray:
        """Return the numbers that may come next and can be completed within the budget; see `Grammar.allowed`.

        Args:
            kinds: `value_kind` of each candidate, in order; at least one of them is "digits".
        """
        if state.complete:
            return np.empty(0, dtype=np.int64)
        following = self.following(state)
        places = [self.size + index for index, kind in enumerate(kinds) if kind in following.values]
        numbers = np.concatenate([following.numbers, np.array(places, dtype=np.int64)]) if places else following.numbers
        if self.is_roomy(state, budget):
            return numbers
        stand_ins = tuple(_STAND_INS[kind] for kind in kinds)
        after = (self.advance(state, number, stand_ins) for number in numbers.tolist())
        return numbers[[one.closing() < budget for one in after]]

    def following(self, state: State) -> Allowed:
        """Return what may follow a state that is not complete, however many more actions it asks for."""
        key = (state.scopes[-1], self.grammar.may_nest(state))
        following = self._known.get(key)
        if following is None:
            following = self._known[key] = self._compute(state)
        return following

    def is_roomy(self, state: State, budget: int) -> bool:
        """Tell whether whatever follows can be completed within the budget.

        No action adds more than a set operation: its FROM, SELECT, and an item for each one of this query.
        """
        return budget > state.closing() + _MOST_ADDED + state.scopes[-1].items

    def advance(self, state: State, number: int, values: tuple[str, ...]) -> State:
        """Return the state after a number that `allowed` gave."""
        if number in _NESTING:
            return self.grammar.advance(state, self.action(number, values))
        # Which value it is makes no difference to what follows.
        key = (state.scopes[-1], min(number, self.size))
        moved = self._moved.get(key)
        if moved is None:
            moved = self._moved[key] = self.grammar.advance(State(state.scopes[-1:]), self.action(number, values))
        return moved if len(state.scopes) == 1 else State(state.scopes[:-1] + moved.scopes)

    def action(self, number: int, values: tuple[str, ...]) -> Action:
        """Return the action of a number."""
        return action_of(number, self.tables, self.columns, values)

    def number(self, action: Action, value: int | None = None) -> int:
        """Return the number of an action; of a value, `value` is its place among the candidates."""
        return number_of(action, self.tables, self.columns, value)

    def _compute(self, state: State) -> Allowed:
        numbers, values = [np.empty(0, dtype=np.int64)], frozenset[str]()
        for what in self.grammar.groups(state):
            if what in _KINDS_OF:
                values |= _KINDS_OF[what]
            else:
                numbers.append(self._columns(state) if what == "column" else self._fixed[what])
        return Allowed(np.concatenate(numbers), values)

    def _columns(self, state: State) -> np.ndarray:
        tables = frozenset(state.scopes[-1].tables)
        known = self._columns_of.get(tables)
        if known is None:
            numbers = np.array(self.grammar.columns_of(tables), dtype=np.int64)
            known = self._columns_of[tables] = len(WORDS) + self.tables + numbers
        return known


def value_kind(sql: str) -> str:
    """Return which of the grammar's kinds a value's SQL text is of: "text", "digits" or "other"."""
    if sql.startswith("'"):
        return "text"
    return "digits" if sql.isdigit() else "other"


class BatchConstraint:
    """`nn.beam.Constraint` for a batch of questions, each over its own schema.

    The model numbers pointers by place in the padded batch: keywords, `items` places for tables and columns, then the
    values. The state is a question's number and the grammar's state, which is immutable.
    """

    def __init__(self, automata: list[Automaton], values: list[tuple[str, ...]], items: int) -> None:
        self._automata = automata
        self._values = values
        self._kinds = [tuple(map(value_kind, candidates)) for candidates in values]
        self._first_value = len(WORDS) + items
        self._places: dict[tuple[int, frozenset[str]], np.ndarray] = {}

    def start(self, sentence: int) -> tuple[int, State]:
        """Return the state of an empty query."""
        return sentence, State()

    def allowed(self, state: tuple[int, State], budget: int) -> np.ndarray:
        """Return what may follow, in the batch's numbers."""
        row, inner = state
        automaton = self._automata[row]
        if inner.complete or not automaton.is_roomy(inner, budget):
            numbers = automaton.allowed(inner, self._kinds[row], budget)
            return np.where(numbers >= automaton.size, numbers + self._first_value - automaton.size, numbers)
        following = automaton.following(inner)
        if not following.values:
            return following.numbers
        key = (row, following.values)
        if key not in self._places:  # the values stand behind the batch's places for items
            fitting = [index for index, kind in enumerate(self._kinds[row]) if kind in following.values]
            self._places[key] = self._first_value + np.array(fitting, dtype=np.int64)
        return np.concatenate([following.numbers, self._places[key]])

    def advance(self, state: tuple[int, State], token: int) -> tuple[int, State]:
        """Return the state after a number of the batch."""
        row, inner = state
        return row, self._automata[row].advance(inner, self.own_number(row, token), self._values[row])

    def written(self, row: int, actions: tuple[Action, ...], named: Sequence[int] = ()) -> tuple[str, tuple[str, ...]]:
        """Return the text of a complete sequence, as `actions` gives it, and which of its tables no key joins.

        Of a database in which no keys were looked for the latter is empty. `named`: as in `to_sql`.
        """
        schema = self._automata[row].schema
        text, without_key = written(actions, schema, named)
        return text, () if schema.inferred_keys is None else without_key

    def actions(self, row: int, tokens: tuple[int, ...]) -> tuple[Action, ...]:
        """Return a complete sequence, given without its end, as actions in the question's own schema, END last."""
        automaton = self._automata[row]
        return (*(automaton.action(self.own_number(row, token), self._values[row]) for token in tokens), END)

    def own_number(self, row: int, token: int) -> int:
        """Return the number of a batch's token in the question's own schema."""
        return token - self._first_value + self._automata[row].size if token >= self._first_value else token
