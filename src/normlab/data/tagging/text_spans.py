"""Texts with the places of their entities, as doccano and other programs export them, made tagged sentences.

Texts are cut into sentences and words as running text is. An entity covers the words that it touches. What cannot be
kept is counted: an entity that begins or ends inside a word, overlaps an earlier one, goes over the end of a sentence,
or touches no word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, NamedTuple

from normlab.data.tagging.plain_text import sentences_of
from normlab.data.tagging.scheme import Scheme, Span, spell
from normlab.data.tagging.sentences import Sentence
from normlab.errors import UserError, excerpt

_START, _END = ("start_offset", "start"), ("end_offset", "end")
_LABEL = ("label", "type", "tag")


class Place(NamedTuple):
    """An entity's characters, start to end - 1, and its type."""

    start: int
    end: int
    type: str


def is_spans(value: object) -> bool:
    """Return whether a value may be a list of places: it is empty, or its first item is a list or an object."""
    return isinstance(value, list) and (not value or isinstance(value[0], list | dict))


class SpanReader:
    """Turns texts with entities into tagged sentences and counts what it had to change."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme: Scheme = scheme
        self._changed: Counter[str] = Counter()

    def told(self) -> str:
        """Return what was changed: "entities widened to whole words: 3"."""
        return ", ".join(f"{what}: {count}" for what, count in sorted(self._changed.items()))

    def sentences(self, text: str, values: Sequence[Any], where: str, line: int, before: int) -> Iterator[Sentence]:
        """Yield a text's sentences; `before` of them stand before it.

        Raises: UserError for a place that is none, or lies outside of the text.
        """
        places = sorted(_place(value, text, where) for value in values)
        lines = text.split("\n")
        met: Counter[Place] = Counter()
        for base, content in zip(accumulate((len(part) + 1 for part in lines), initial=0), lines, strict=False):
            for sentence in sentences_of(content, line, before):
                before = sentence.number
                bounds = [(base + start, base + end) for start, end in sentence.offsets or ()]
                tags = spell(self._entities(bounds, places, met), len(bounds), self._scheme)
                yield replace(sentence, tags=tuple(tags), offsets=None)
        self._changed.update({"entities without a word": sum(met[place] == 0 for place in set(places))})
        self._changed.update({"entities cut at the end of a sentence": sum(count > 1 for count in met.values())})
        self._changed = +self._changed

    def _entities(self, bounds: Sequence[tuple[int, int]], places: Sequence[Place], met: Counter[Place]) -> list[Span]:
        entities: list[Span] = []
        for place in places:
            touched = [n for n, (start, end) in enumerate(bounds) if start < place.end and end > place.start]
            if not touched:
                continue
            met[place] += 1
            if entities and touched[0] < entities[-1].end:
                self._changed["overlapping entities left out"] += 1
                continue
            first, last = bounds[touched[0]][0], bounds[touched[-1]][1]
            if first < place.start or (last > place.end and met[place] == 1):
                self._changed["entities widened to whole words"] += 1
            entities.append(Span(touched[0], touched[-1] + 1, place.type))
        return entities


def _place(value: Any, text: str, where: str) -> Place:
    parts: list[Any] = value if isinstance(value, list) else []
    if isinstance(value, dict):
        parts = [next((value[name] for name in names if name in value), None) for names in (_START, _END, _LABEL)]
    if len(parts) != 3 or type(parts[0]) is not int or type(parts[1]) is not int or not isinstance(parts[2], str):
        raise UserError(f"{where}: '{excerpt(str(value))}' is no entity: [start, end, label] is expected")
    start, end, label = parts
    if not 0 <= start < end <= len(text) or not label:
        raise UserError(f"{where}: '{excerpt(str(value))}' lies outside of a text of {len(text)} characters")
    return Place(start, end, label)
