"""Column files: one word per line, columns parted by spaces or tabs, a blank line after each sentence.

Reads CoNLL 2003 (`word pos chunk tag`), the course's files (`token pos word tag`), CoNLL-U (token numbers, comments)
and any other order, which `columns` names. Fields are parted at spaces and tabs alone, since a word may itself be a
no-break space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from normlab.data.tagging.column_layout import (
    COURSE_COLUMNS,
    LINES_TO_GUESS_FROM,
    Layout,
    delimiter_of,
    ends_sentence,
    guess_layout,
)
from normlab.data.tagging.scheme import PLAIN
from normlab.data.tagging.sentences import Sentence, SentenceFile
from normlab.data.text.lines import text_lines
from normlab.errors import UserError

__all__ = ["COURSE_COLUMNS", "ColumnFile", "Layout", "sample_lines"]


class ColumnFile(SentenceFile):
    """A column file.

    Args:
        path: the file.
        columns: names in the file's order, as a sequence or one string (`"token,pos,word,tag"`): `word` must
            be among them, `tag` if there are tags; `token`, if there, is the normalised word for the
            embedding; `number` holds token numbers, and lines numbered 1-2 or 1.1 hold no word; the rest is ignored.
            None guesses (see `column_layout`): the course's order if the third of four columns repeats the first,
            else the word first, after token numbers, and the tag last.
        **options: as in `SentenceFile`.
    """

    _instead_of_words = "blank lines, comments or document marks"

    def __init__(self, path: str | Path, *, columns: str | Sequence[str] | None = None, **options: Any) -> None:
        super().__init__(path, **options)
        self.columns = None if columns is None else _column_names(columns)
        self._layout: Layout | None = None
        self._comments = self._without_word = 0

    def layout(self) -> Layout:
        """Return the delimiter and columns, read off the file's first lines where they are not given."""
        if self._layout is None:
            sample = sample_lines(self.path, self.encoding)
            if not sample:
                raise UserError(f"{self.path}: holds no sentence, only {self._instead_of_words}")
            if self.columns:
                self._layout = Layout(delimiter_of(sample), self.columns, self.scheme == PLAIN)
            else:
                self._layout = guess_layout(sample, f"{self.path}:1", plain=self.scheme == PLAIN)
        return self._layout

    def read_as(self) -> str:
        """Return the layout in words: "words from column 2, tags IOB1 from column 4"."""
        return self.layout().in_words(self.style())

    def left_out(self) -> str:
        """Return how many comments, and lines that repeat or insert a token, the last pass has met."""
        counts = ((self._comments, "comment lines"), (self._without_word, "token ranges or empty nodes"))
        return ", ".join(f"{name}: {count}" for count, name in counts if count)

    def _drafts(self) -> Iterator[Sentence]:
        self._comments = self._without_word = 0
        self._layout = None  # the file may have changed since it was last looked at
        layout = self.layout()
        rows: list[list[str]] = []
        lines: list[int] = []
        number = 1
        for line, text in text_lines(self.path, self.encoding):
            if ends_sentence(text) or (len(layout.columns) > 1 and not text.strip()):
                if rows:
                    yield _sentence(rows, lines, layout, number)
                    number, rows, lines = number + 1, [], []
                continue
            if layout.is_comment(text, first=not rows):
                self._comments += 1
                continue
            fields = self._fields(text, layout, number, line)
            if layout.has_no_word(fields):
                self._without_word += 1
                continue
            rows.append(fields)
            lines.append(line)
            self._check_length(len(rows), number, lines[0])
        if rows:
            yield _sentence(rows, lines, layout, number)

    def _fields(self, text: str, layout: Layout, number: int, line: int) -> list[str]:
        fields = layout.split(text)
        if len(fields) != len(layout.columns):
            kind = "tab" if layout.delimiter == "\t" else "space"
            raise UserError(
                f"{self.path}:{line}: sentence {number}: {len(fields)} {kind}-separated columns, expected "
                f"{len(layout.columns)} ({' '.join(layout.columns)}); fix the line or name the --columns"
            )
        if not fields[layout.columns.index("word")]:
            raise UserError(f"{self.path}:{line}: sentence {number}: the word's column is empty; fix the line")
        return fields


def sample_lines(path: Path, encoding: str) -> list[str]:
    """Return a file's first lines that hold words or comments."""
    lines = (text for _, text in text_lines(path, encoding) if not ends_sentence(text))
    return list(islice(lines, LINES_TO_GUESS_FROM))


def _sentence(rows: list[list[str]], lines: list[int], layout: Layout, number: int) -> Sentence:
    by_name = dict(zip(layout.columns, zip(*rows, strict=True), strict=True))
    words = by_name["word"]
    apart = lines[-1] - lines[0] >= len(lines)
    return Sentence(
        words,
        by_name.get("tag"),
        by_name.get("token", words),
        number,
        lines[0],
        lines=tuple(lines) if apart else None,
    )


def _column_names(columns: str | Sequence[str]) -> tuple[str, ...]:
    names = columns.replace(",", " ").split() if isinstance(columns, str) else columns
    names = tuple(name.lower() for name in names)
    if "word" not in names or any(names.count(name) > 1 for name in ("word", "tag", "token", "number")):
        raise UserError(f"columns '{' '.join(names)}': name `word` once, and `tag`, `token` and `number` at most once")
    return names
