"""Kaggle's copy of the Groningen Meaning Bank: a CSV with the columns `Sentence #, Word, POS, Tag`.

What trips readers up: the file is cp1252 with CRLF, only a sentence's first row names the sentence (copies have the
name in every row), the word "None" is a word (pandas makes it a missing value), and one token is a single no-break
space. Other tables of words are read too if their header names sentence, word and tag.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from normlab.data.tagging.sentences import Sentence, SentenceFile
from normlab.data.text.lines import WINDOWS_UNLESS_UTF8, text_lines
from normlab.errors import UserError, excerpt
from normlab.plurals import plural

# What the columns are called, in lower case and without blanks, signs and underscores.
_SENTENCE = ("sentence", "sentenceid", "sentenceidx", "sentid", "sentenceno")
_WORD = ("word", "token", "words", "tokens")
_TAG = ("tag", "nertag", "label", "ner", "tags")
_DELIMITERS = ",;\t"
_NO_NAME = ("nan", "none", "null", "na", "<na>")  # what programs write for an empty cell


class _Columns(NamedTuple):
    """Places of sentence, word and tag (None: there are none) in a row of `width` fields."""

    sentence: int
    word: int
    tag: int | None
    width: int


class GmbCsv(SentenceFile):
    """The CSV file; options as in `SentenceFile`. Its encoding, unless given: UTF-8 if it is that, else cp1252."""

    suffixes = (".csv",)
    title = "Kaggle's CSV"
    _instead_of_words = "a header"

    def __init__(self, path: str | Path, **options: Any) -> None:
        super().__init__(path, **({"encoding": WINDOWS_UNLESS_UTF8} | options))

    def _drafts(self) -> Iterator[Sentence]:
        words: list[str] = []
        tags: list[str] = []
        lines: list[int] = []
        number, current = 1, ""
        for line, name, word, tag in self._rows():
            if name and name != current and words:
                yield _sentence(words, tags, lines, number)
                number, words, tags, lines = number + 1, [], [], []
            current = name or current
            words.append(word)
            lines.append(line)
            if tag is not None:
                tags.append(tag)
            self._check_length(len(words), number, lines[0])
        if words:
            yield _sentence(words, tags, lines, number)

    def _rows(self) -> Iterator[tuple[int, str, str, str | None]]:
        """Yield (line of the row's first character, sentence, word, tag)."""
        lines = text_lines(self.path, self.encoding)
        _, header = next(lines)
        delimiter = max(_DELIMITERS, key=header.count)
        # The line end is given back to each line: a quoted field may hold it.
        rows = csv.reader((f"{text}\n" for text in chain([header], (text for _, text in lines))), delimiter=delimiter)
        try:
            columns = self._columns(next(rows))
            while True:
                line = rows.line_num + 1
                row = next(rows, None)
                if row is None:
                    return
                if not row:
                    continue
                if len(row) != columns.width:
                    cause = ": is a quote never closed?" if any("\n" in cell for cell in row) else ""
                    raise UserError(f"{self.path}:{line}: {plural(len(row), 'field')}, expected {columns.width}{cause}")
                if not row[columns.word]:
                    raise UserError(f"{self.path}:{line}: the word is empty")
                tag = None if columns.tag is None else row[columns.tag]
                name = row[columns.sentence].strip()
                yield line, "" if name.lower() in _NO_NAME else name, row[columns.word], tag
        except csv.Error as error:
            reason = "a carriage return in the middle of the line" if "new-line" in str(error) else error
            raise UserError(f"{self.path}:{max(1, rows.line_num)}: not CSV ({reason}); fix the line") from None

    def _columns(self, header: list[str]) -> _Columns:
        names = ["".join(letter for letter in name.lower() if letter.isalnum()) for name in header]
        sentence, word, tag = (next((names.index(n) for n in known if n in names), None) for known in _ROLES)
        if sentence is None or word is None:
            raise UserError(
                f"{self.path}:1: the header must be 'Sentence #,Word,POS,Tag' or name sentence, word and tag, got "
                f"'{excerpt(','.join(header), 100)}'"
            )
        return _Columns(sentence, word, tag, len(header))


_ROLES = (_SENTENCE, _WORD, _TAG)


def _sentence(words: list[str], tags: list[str], lines: list[int], number: int) -> Sentence:
    apart = lines[-1] - lines[0] >= len(lines)
    return Sentence(
        tuple(words),
        tuple(tags) or None,
        tuple(words),
        number,
        lines[0],
        lines=tuple(lines) if apart else None,
    )
