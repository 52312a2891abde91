"""A gold query as the numbers of its actions, each with the mask of what else the grammar allows there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from normlab.tasks.text2sql.grammar.actions import UNKNOWN_VALUE
from normlab.tasks.text2sql.grammar.automaton import State
from normlab.tasks.text2sql.grammar.linearize import to_actions
from normlab.tasks.text2sql.grammar.masks import Automaton, value_kind
from normlab.tasks.text2sql.inputs.encoding import Gold
from normlab.tasks.text2sql.inputs.plain_spelling import plainly_spelled
from normlab.tasks.text2sql.linking.linker import Linked, gold_value

_UNLIMITED = 1_000_000


class OutsideGrammarError(ValueError):
    """A gold query that the decoder could not write: the message says why."""


def gold_of(sql: str, automaton: Automaton, values: Sequence[str], linked: Linked) -> Gold:
    """Return a gold query as numbers with their masks.

    Args:
        sql: the query.
        automaton: the grammar over its schema.
        values: SQL texts of the candidates for constants.
        linked: the question, whose candidates these are.
    Raises: ParseError, OutsideGrammarError.
    """
    state, kinds = State(), tuple(map(value_kind, values))
    size = automaton.size + len(values)
    numbers, masks = [], []
    for action in to_actions(plainly_spelled(sql), automaton.schema):
        allowed = automaton.allowed(state, kinds, _UNLIMITED)
        if action[0] == "value":
            index = gold_value(str(action[1]), linked.values)
            number = UNKNOWN_VALUE if index is None else automaton.number(action, index)
            known = number in allowed
            if not known and not any(index >= automaton.size for index in allowed.tolist()):
                raise OutsideGrammarError(f"no value may stand where it has {action[1]}")
            number = number if known else UNKNOWN_VALUE
        else:
            number = automaton.number(action)
            if number not in allowed:
                raise OutsideGrammarError(f"outside the grammar at '{action[1]}'")
        mask = np.zeros(size, dtype=bool)
        mask[allowed] = True
        numbers.append(number)
        masks.append(mask)
        state = automaton.grammar.advance(state, action)
    return Gold(np.array(numbers, dtype=np.int64), np.packbits(np.stack(masks), axis=1), size)
