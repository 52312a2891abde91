"""Sentences as JSON: an object per line, or one list of objects.

An object holds words and tags, {"tokens": [...], "tags": [...]}; Hugging Face's files call them `ner_tags` and may hold
numbers, whose names stand in a file beside them. Or it holds a text and the places of its entities, as doccano exports
them: {"text": "...", "label": [[0, 5, "PER"]]}. Other keys are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from normlab.data.tagging.sentences import Sentence, SentenceFile
from normlab.data.tagging.tag_names import TagNames, find_tag_names
from normlab.data.tagging.text_spans import SpanReader, is_spans
from normlab.data.text.lines import text_lines
from normlab.errors import UserError, excerpt
from normlab.plurals import plural
from normlab.reading import read_text

_JSON_NAMES: dict[type, str] = {list: "list", str: "string", int: "number", float: "number"}
_WORDS = ("tokens", "words")
_TAGS = ("tags", "ner_tags", "labels", "ner")
_SPANS = ("label", "labels", "entities", "spans")
Located = tuple[str, int, Any]  # place, line, value


class SentenceJsonLines(SentenceFile):
    """A file of JSON; tags may be missing. Options as in `SentenceFile`."""

    suffixes = (".jsonl", ".json")
    title = "JSON lines"
    _lines_per_word = 0
    _keys: tuple[str, ...] = ()
    _names: TagNames | None = None
    _spans: SpanReader | None = None

    def keys_seen(self) -> str:
        """Return the keys of the last object without tags."""
        return f"found keys: {_listed(self._keys)}"

    def left_out(self) -> str:
        """Return how many entities of a text the last pass could not keep as they are."""
        return self._spans.told() if self._spans is not None else ""

    def read_as(self) -> str:
        """Say what is no plain list of tags: numbers with names from another file, or places in a text."""
        try:
            next(iter(self._drafts()), None)
        except UserError:
            return ""
        if self._spans is not None:
            return "words and tags from texts and the places of their entities"
        return f"tags are numbers, their names from {self._names.source}" if self._names is not None else ""

    def _drafts(self) -> Iterator[Sentence]:
        self._spans = self._names = None
        number = 0
        for where, line, value in self._values():
            entry = _object(value, f"{where}: sentence {number + 1}")
            text, places = entry.get("text"), next((entry[key] for key in _SPANS if is_spans(entry.get(key))), None)
            if isinstance(text, str) and places is not None:
                self._spans = self._spans or SpanReader(self.scheme)
                for sentence in self._spans.sentences(text, places, f"{where}: text {number + 1}", line, number):
                    number = sentence.number
                    yield sentence
                continue
            number += 1
            yield self._sentence(entry, f"{where}: sentence {number}", number, line)

    def _values(self) -> Iterator[Located]:
        """Yield the values of the file: those of its one list, or of its lines."""
        lines = ((line, text) for line, text in text_lines(self.path, self.encoding) if text.strip())
        line, text = next(lines, (1, ""))
        if text.lstrip().startswith("["):
            values = _parsed(read_text(self.path), f"{self.path}:{line}", "a list of objects, or one object per line")
            for value in values:
                yield f"{self.path}:{line}", line, value
            return
        number = 0
        while text:
            number += 1
            what = "one object per line"
            if text.strip() == "{":
                what = "one object per line, or a list of objects"
            yield f"{self.path}:{line}", line, _parsed(text, f"{self.path}:{line}: sentence {number}", what)
            line, text = next(lines, (line, ""))

    def _sentence(self, entry: dict[str, Any], where: str, number: int, line: int) -> Sentence:
        words: Any = next((entry[key] for key in _WORDS if key in entry), None)
        if not _is_words(words):
            raise UserError(
                f'{where}: expected an object with "tokens", a list of strings that is not empty; '
                f"found keys: {_listed(tuple(entry))}"
            )
        if "" in words:
            raise UserError(f'{where}: word {words.index("") + 1} of "tokens" is empty')
        key = next((key for key in _TAGS if entry.get(key) is not None), "tags")
        tags: Any = entry.get(key)
        if isinstance(tags, list) and tags and all(type(tag) is int for tag in tags):
            tags = self._named(tags, key, where)
        if tags is None:
            self._keys = tuple(entry)
        elif not _is_words(tags) or len(tags) != len(words):
            raise UserError(f'{where}: "{key}" must be a list of {plural(len(words), "string")}, one per token')
        if any(_half_of_a_pair(item) for item in (*words, *(tags or ()))):
            raise UserError(f"{where}: holds half of a surrogate pair (such as \\ud83d alone), which is no character")
        return Sentence(tuple(words), None if tags is None else tuple(tags), tuple(words), number, line)

    def _named(self, numbers: list[int], key: str, where: str) -> list[str]:
        """Return the names of tags that are numbers; where tags are left out anyway, the numbers themselves."""
        if not self.tagged:
            return list(map(str, numbers))
        names = self._names = self._names or find_tag_names(self.path, key)
        for number in numbers:
            if not 0 <= number < len(names.names):
                raise UserError(f'{where}: {number} in "{key}" has no name: {names.source} holds {len(names.names)}')
        return [names.names[number] for number in numbers]


def _parsed(text: str, where: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        if text.strip() == "{":
            reason = "an object that goes on over several lines"
        raise UserError(f"{where}: not JSON ({reason}); {what} is expected") from None


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(
            f'{where}: expected an object with "tokens", a list of strings that is not empty; found a '
            f"{_JSON_NAMES.get(type(value), 'value')}"
        )
    return value


def _is_words(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(isinstance(item, str) for item in value)


def _half_of_a_pair(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _listed(keys: tuple[str, ...]) -> str:
    """Return names of keys, on one line and not too many."""
    names = ", ".join(excerpt(key, 30) for key in keys[:10])
    return (names or "none") + (", ..." if len(keys) > 10 else "")
