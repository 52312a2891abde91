"""Sentences as JSON, one object per line: {"tokens": [...], "tags": [...]}; other keys are ignored."""

from __future__ import annotations

import json
from collections.abc import Iterator

from normlab.data.sentences import Sentence, SentenceFile
from normlab.data.text_lines import text_lines
from normlab.errors import UserError


class SentenceJsonLines(SentenceFile):
    """A JSONL file; `tags` may be missing. Options as in `SentenceFile`."""

    _lines_per_word = 0

    def _drafts(self) -> Iterator[Sentence]:
        number = 0
        for line, text in text_lines(self.path, self.encoding):
            if not text.strip():
                continue
            number += 1
            entry = self._object(text, f"{self.path}:{line}: sentence {number}")
            words = tuple(entry["tokens"])
            tags = entry.get("tags")
            yield Sentence(words, None if tags is None else tuple(tags), words, number, line)

    def _object(self, text: str, place: str) -> dict[str, list[str]]:
        try:
            entry = json.loads(text)
        except ValueError as error:
            raise UserError(f"{place}: not JSON ({error}); one object per line is expected") from None
        if not isinstance(entry, dict) or not _is_words(entry.get("tokens")):
            raise UserError(f'{place}: expected an object with "tokens", a list of strings that is not empty')
        tags = entry.get("tags")
        if tags is not None and (not _is_words(tags) or len(tags) != len(entry["tokens"])):
            raise UserError(f'{place}: "tags" must be a list of {len(entry["tokens"])} strings, one per token')
        return entry


def _is_words(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(isinstance(item, str) for item in value)
