"""The grammar as fast masks: what may follow, as numbers, cached by the state's innermost scope.

Which actions may come next depends on the innermost open query alone, and on whether one more may be opened. So they
are computed once for each scope that is met, and every later question over the same schema finds them ready. How many
further actions each asks for is looked at only where the budget is close to its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.grammar.actions import WORDS, action_of, number_of
from normlab.tasks.text2sql.grammar.automaton import END, Action, Grammar, State
from normlab.tasks.text2sql.grammar.linearize import joined_without_key, to_sql

# One value of each kind that the grammar tells apart.
_STAND_INS = {"text": "'x'", "digits": "1", "other": "1.5"}
_MOST_ADDED = 8


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
        self._known: dict[tuple[object, bool], Allowed] = {}

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
        following = self._after(state)
        places = [self.size + index for index, kind in enumerate(kinds) if kind in following.values]
        numbers = np.concatenate([following.numbers, np.array(places, dtype=np.int64)]) if places else following.numbers
        # No action adds more than a set operation: its FROM, SELECT, and an item for each one of this query.
        if budget > state.closing() + _MOST_ADDED + state.scopes[-1].items:
            return numbers
        stand_ins = tuple(_STAND_INS[kind] for kind in kinds)
        after = (self.grammar.advance(state, self.action(number, stand_ins)) for number in numbers.tolist())
        return numbers[[one.closing() < budget for one in after]]

    def advance(self, state: State, number: int, values: tuple[str, ...]) -> State:
        """Return the state after a number that `allowed` gave."""
        return self.grammar.advance(state, self.action(number, values))

    def action(self, number: int, values: tuple[str, ...]) -> Action:
        """Return the action of a number."""
        return action_of(number, self.tables, self.columns, values)

    def number(self, action: Action, value: int | None = None) -> int:
        """Return the number of an action; of a value, `value` is its place among the candidates."""
        return number_of(action, self.tables, self.columns, value)

    def _after(self, state: State) -> Allowed:
        key = (state.scopes[-1], self.grammar.may_nest(state))
        following = self._known.get(key)
        if following is None:
            following = self._known[key] = self._compute(state)
        return following

    def _compute(self, state: State) -> Allowed:
        actions = self.grammar.following(state, tuple(_STAND_INS.values()))
        kinds = {text: kind for kind, text in _STAND_INS.items()}
        numbers = [self.number(action) for action in actions if action[0] != "value"]
        values = frozenset(kinds[str(action[1])] for action in actions if action[0] == "value")
        return Allowed(np.array(numbers, dtype=np.int64), values)


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

    def start(self, sentence: int) -> tuple[int, State]:
        """Return the state of an empty query."""
        return sentence, State()

    def allowed(self, state: tuple[int, State], budget: int) -> Tensor:
        """Return what may follow, in the batch's numbers."""
        row, inner = state
        automaton = self._automata[row]
        numbers = automaton.allowed(inner, self._kinds[row], budget)
        moved = np.where(numbers >= automaton.size, numbers - automaton.size + self._first_value, numbers)
        return torch.from_numpy(moved)

    def advance(self, state: tuple[int, State], token: int) -> tuple[int, State]:
        """Return the state after a number of the batch."""
        row, inner = state
        return row, self._automata[row].advance(inner, self.own_number(row, token), self._values[row])

    def sql(self, row: int, tokens: tuple[int, ...], named: Sequence[int] = ()) -> str:
        """Return the text of a complete sequence, given without its end. `named`: as in `to_sql`."""
        return to_sql(self.actions(row, tokens), self._automata[row].schema, named)

    def joined_without_key(self, row: int, tokens: tuple[int, ...]) -> tuple[str, ...]:
        """Return the tables of a complete sequence that no key joins, if keys were looked for in its database."""
        schema = self._automata[row].schema
        return () if schema.inferred_keys is None else joined_without_key(self.actions(row, tokens), schema)

    def actions(self, row: int, tokens: tuple[int, ...]) -> tuple[Action, ...]:
        """Return a complete sequence, given without its end, as actions in the question's own schema, END last."""
        automaton = self._automata[row]
        return (*(automaton.action(self.own_number(row, token), self._values[row]) for token in tokens), END)

    def own_number(self, row: int, token: int) -> int:
        """Return the number of a batch's token in the question's own schema."""
        return token - self._first_value + self._automata[row].size if token >= self._first_value else token
