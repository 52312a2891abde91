"""Sentences as JSON, one object per line: {"tokens": [...], "tags": [...]}; other keys are ignored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from normlab.data.tagging.sentences import Sentence, SentenceFile
from normlab.data.text.lines import text_lines
from normlab.errors import UserError, excerpt

_JSON_NAMES: dict[type, str] = {list: "list", str: "string", int: "number", float: "number"}


class SentenceJsonLines(SentenceFile):
    """A JSONL file; `tags` may be missing. Options as in `SentenceFile`."""

    suffixes = (".jsonl", ".json")
    title = "JSON lines"
    _lines_per_word = 0
    _keys: tuple[str, ...] = ()

    def keys_seen(self) -> str:
        """Return the keys of the last object without `tags`."""
        return f"found keys: {_listed(self._keys)}"

    def _drafts(self) -> Iterator[Sentence]:
        number = 0
        for line, text in text_lines(self.path, self.encoding):
            if not text.strip():
                continue
            number += 1
            entry = self._object(text, f"{self.path}:{line}: sentence {number}")
            words = tuple(entry["tokens"])
            tags = entry.get("tags")
            if tags is None:
                self._keys = tuple(entry)
            yield Sentence(words, None if tags is None else tuple(tags), words, number, line)

    def _object(self, text: str, where: str) -> dict[str, Any]:
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else error
            if text.strip() in {"[", "{"}:
                reason = "a list or an object that goes on over several lines"
            raise UserError(f"{where}: not JSON ({reason}); one object per line is expected") from None
        if not isinstance(entry, dict):
            raise UserError(
                f'{where}: expected an object with "tokens", a list of strings that is not empty; found a '
                f"{_JSON_NAMES.get(type(entry), 'value')}"
            )
        if not _is_words(entry.get("tokens")):
            raise UserError(
                f'{where}: expected an object with "tokens", a list of strings that is not empty; '
                f"found keys: {_listed(tuple(entry))}"
            )
        if "" in entry["tokens"]:
            raise UserError(f'{where}: word {entry["tokens"].index("") + 1} of "tokens" is empty')
        tags = entry.get("tags")
        if tags is not None and (not _is_words(tags) or len(tags) != len(entry["tokens"])):
            raise UserError(f'{where}: "tags" must be a list of {len(entry["tokens"])} strings, one per token')
        if any(_half_of_a_pair(item) for item in (*entry["tokens"], *(tags or ()))):
            raise UserError(f"{where}: holds half of a surrogate pair (such as \\ud83d alone), which is no character")
        return entry


def _is_words(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(isinstance(item, str) for item in value)


def _half_of_a_pair(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text)


def _listed(keys: tuple[str, ...]) -> str:
    """Return names of keys, on one line and not too many."""
    names = ", ".join(excerpt(key, 30) for key in keys[:10])
    return (names or "none") + (", ..." if len(keys) > 10 else "")
