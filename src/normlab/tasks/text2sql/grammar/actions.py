"""The grammar's actions as numbers.

Keywords have fixed numbers; a table, a column or a value is a pointer, numbered by where it stands among the
schema's items: all tables, then all columns (`*` first), then the value candidates of the question.
"""

from __future__ import annotations

from normlab.tasks.text2sql.grammar.automaton import Action
from normlab.tasks.text2sql.grammar.phases import AGGREGATES, ARITHMETIC, COMPARISONS, SET_OPERATIONS

WORDS: tuple[str, ...] = (
    "end",
    *("where", "group", "having", "select", "order", "limit"),
    *("and", "or", "not", "distinct", "asc", "desc", "(", ")"),
    *AGGREGATES,
    *ARITHMETIC,
    *COMPARISONS,
    *SET_OPERATIONS,
)
"""Every keyword; a keyword's place is its number."""

END_NUMBER = 0
# Two inputs of the decoder that are never its outputs.
BEGIN, UNKNOWN_VALUE = -1, -2
_NUMBER = {text: number for number, text in enumerate(WORDS)}


def number_of(action: Action, tables: int, columns: int, value: int | None = None) -> int:
    """Return an action's number in a schema of so many tables and columns; `value` is the candidate's place."""
    kind, text = action
    if kind == "word":
        return _NUMBER[str(text)]
    if kind == "table":
        return len(WORDS) + int(text)
    if kind == "column":
        return len(WORDS) + tables + int(text)
    assert value is not None
    return len(WORDS) + tables + columns + value


def action_of(number: int, tables: int, columns: int, values: tuple[str, ...]) -> Action:
    """Return the action of a number, `number_of`'s inverse."""
    if number < len(WORDS):
        return ("word", WORDS[number])
    index = number - len(WORDS)
    if index < tables:
        return ("table", index)
    if index < tables + columns:
        return ("column", index - tables)
    return ("value", values[index - tables - columns])
