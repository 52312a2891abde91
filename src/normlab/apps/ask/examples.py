"""Questions of which the user has given the SQL: one that differs in its values only gets that SQL, values replaced.

A question is near an example if it has the same words in the same order, by their stems, articles and signs left out,
where in place of a value stands another one of its kind: for a cell another cell of the same column, for a number a
number, for a date a date. Other words are never passed over: "older" and "younger" are one word apart. A value that the
question or the query names twice is not replaced, unless it is a cell, since its places could not be told apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from normlab.data.sql.pairs import Pair
from normlab.data.sql.schema import Schema
from normlab.data.text.word_forms import is_word, stem
from normlab.tasks.text2sql.linking.linker import Linked
from normlab.tasks.text2sql.linking.values import ValueCandidate, gold_value, sql_text

_PASSED_OVER = frozenset(("a", "an", "the", "please"))
_PART = re.compile(
    r"""(?P<literal>'(?:[^']|'')*'|(?<![\w.$])\d+(?:\.\d+)?(?![\w.]))|(?P<name>"(?:[^"]|"")*"|`[^`]*`|\[[^]]*\]|\w+)"""
)
_REPLACED = ("cell", "number", "date")


@dataclass(frozen=True)
class Match:
    """The example of a question: its number from 1, the query with the question's values, and a line that says so."""

    number: int
    sql: str
    note: str


@dataclass(frozen=True)
class _Slot:
    """A value of an example: its SQL, and which other value may stand there (of these columns, for a cell)."""

    literal: str
    kind: str
    columns: frozenset[int]


@dataclass(frozen=True)
class _Template:
    """An example's words by their stems, a slot in place of each value that may change."""

    pair: Pair
    number: int
    parts: tuple[str | _Slot, ...]

    def fill(self, linked: Linked) -> dict[str, str] | None:
        """Return SQL of the example's values -> of the question's, or None if the question is no such one."""
        return _fill(self.parts, 0, _Words(linked))


class Examples:
    """Finds the example of a question.

    Args:
        pairs: the examples, in the order of their numbers.
        link: what says what a question's words name in the database.
        schema: of the database.
    """

    def __init__(self, pairs: Sequence[Pair], link: Callable[[str], Linked], schema: Schema) -> None:
        self._templates = [
            _template(pair, number, link(pair.question), schema) for number, pair in enumerate(pairs, start=1)
        ]

    def nearest(self, linked: Linked) -> Match | None:
        """Return the example with the fewest values to replace, the first of several; None if there is none."""
        found = ((template, template.fill(linked)) for template in self._templates)
        filled = [(template, values) for template, values in found if values is not None]
        if not filled:
            return None
        template, values = min(filled, key=lambda one: len(_changed(one[1])))
        changed = _changed(values)
        in_place = "".join(f", {new} in place of {old}" for old, new in changed.items())
        note = f"by your example {template.number} ({template.pair.place}){in_place}"
        return Match(template.number, _with_values(template.pair.sql, changed), note)


class _Words:
    """A question's words that are compared, and the values that begin at each of them."""

    def __init__(self, linked: Linked) -> None:
        places = [at for at, word in enumerate(linked.words) if is_word(word) and word not in _PASSED_OVER]
        self.stems = [stem(linked.words[at]) for at in places]
        self._values: dict[int, list[tuple[int, ValueCandidate]]] = {}
        for value in linked.values:
            inside = [index for index, at in enumerate(places) if value.start <= at < value.end]
            if inside:
                self._values.setdefault(inside[0], []).append((inside[-1] + 1, value))

    def span(self, value: ValueCandidate) -> tuple[int, int] | None:
        """Return where a value stands among the words."""
        spans = ((at, end) for at, values in self._values.items() for end, one in values if one is value)
        return next(spans, None)

    def fitting(self, slot: _Slot, at: int) -> Iterator[tuple[int, str]]:
        """Yield (end, SQL) of the values that begin at a word and may stand in a slot."""
        for end, value in self._values.get(at, ()):
            if value.kind == slot.kind and (slot.kind != "cell" or slot.columns & {*value.columns}):
                yield end, value.sql


def _template(pair: Pair, number: int, linked: Linked, schema: Schema) -> _Template:
    words = _Words(linked)
    literals = [match["literal"] for match in _PART.finditer(pair.sql) if match["literal"]]
    slots: dict[tuple[int, int], _Slot] = {}
    for literal in dict.fromkeys(literals):
        index = gold_value(literal, linked.values)
        value = None if index is None else linked.values[index]
        span = None if value is None else words.span(value)
        if value is None or span is None or value.kind not in _REPLACED:
            continue
        if _stands_twice(words.stems, span) or (value.kind != "cell" and literals.count(literal) > 1):
            continue
        slots[span] = _Slot(literal, value.kind, _compared(value, pair.sql, schema))
    spans = [span for span in slots if not any(_overlap(span, other) for other in slots if other != span)]
    parts: list[str | _Slot] = []
    at = 0
    for start, end in sorted(spans):
        parts += [*words.stems[at:start], slots[start, end]]
        at = end
    return _Template(pair, number, (*parts, *words.stems[at:]))


def _stands_twice(stems: Sequence[str], span: tuple[int, int]) -> bool:
    start, end = span
    size = end - start
    return sum(stems[at : at + size] == stems[start:end] for at in range(len(stems) - size + 1)) > 1


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _compared(value: ValueCandidate, sql: str, schema: Schema) -> frozenset[int]:
    """Return the columns that have the value, only those that the query names if it names any."""
    names = {match["name"].strip('"`[]').lower() for match in _PART.finditer(sql) if match["name"]}
    named = frozenset(number for number in value.columns if schema.columns[number].name.lower() in names)
    return named or frozenset(value.columns)


def _fill(parts: Sequence[str | _Slot], at: int, words: _Words) -> dict[str, str] | None:
    """Return SQL of each slot's value -> of the value in the question from word `at` on, if they agree to the end."""
    if not parts:
        return {} if at == len(words.stems) else None
    first, *rest = parts
    if isinstance(first, str):
        agrees = at < len(words.stems) and words.stems[at] == first
        return _fill(rest, at + 1, words) if agrees else None
    for end, sql in words.fitting(first, at):
        values = _fill(rest, end, words)
        if values is not None:
            return {first.literal: sql_text(sql) if first.literal[0] == "'" != sql[0] else sql, **values}
    return None


def _changed(values: dict[str, str]) -> dict[str, str]:
    return {old: new for old, new in values.items() if new != old}


def _with_values(sql: str, values: dict[str, str]) -> str:
    """Return a query with literals replaced, and names that look like them left alone."""
    return _PART.sub(lambda match: values.get(match["literal"], match[0]) if match["literal"] else match[0], sql)
