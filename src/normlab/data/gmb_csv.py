"""Kaggle's copy of the Groningen Meaning Bank: a CSV with the columns `Sentence #, Word, POS, Tag`.

What trips readers up: the file is cp1252 with CRLF, only a sentence's first row names the sentence, the word
"None" is a word (pandas makes it a missing value), and one token is a single no-break space.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from normlab.data.sentences import Sentence, SentenceFile
from normlab.data.text_lines import text_lines
from normlab.errors import UserError

_COLUMNS = ["sentence #", "word", "pos", "tag"]


class GmbCsv(SentenceFile):
    """The CSV file; options as in `SentenceFile`, encoding cp1252 unless given."""

    def __init__(self, path: str | Path, **options: Any) -> None:
        super().__init__(path, **({"encoding": "cp1252"} | options))

    def _drafts(self) -> Iterator[Sentence]:
        words: list[str] = []
        tags: list[str] = []
        number, first = 0, 0
        for line, (name, word, _, tag) in self._rows():
            if name and words:
                yield Sentence(tuple(words), tuple(tags), tuple(words), number, first)
                words, tags = [], []
            if not words:
                number, first = number + 1, line
            words.append(word)
            tags.append(tag)
            self._check_length(len(words), number, first)
        if words:
            yield Sentence(tuple(words), tuple(tags), tuple(words), number, first)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        rows = csv.reader(text for _, text in text_lines(self.path, self.encoding))
        header = [name.strip().lower() for name in next(rows, [])]
        if header != _COLUMNS:
            raise UserError(f"{self.path}:1: the header must be 'Sentence #,Word,POS,Tag', got '{','.join(header)}'")
        try:
            for row in rows:
                if len(row) != len(_COLUMNS):
                    if not row:
                        continue
                    raise UserError(f"{self.path}:{rows.line_num}: {len(row)} fields, expected {len(_COLUMNS)}")
                if not row[1]:
                    raise UserError(f"{self.path}:{rows.line_num}: the word is empty")
                yield rows.line_num, row
        except csv.Error as error:
            raise UserError(f"{self.path}:{rows.line_num}: not CSV ({error})") from None
