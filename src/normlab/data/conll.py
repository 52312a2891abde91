"""Column files: one word per line, columns parted by spaces or tabs, a blank line after each sentence.

Reads CoNLL 2003 (`word pos chunk tag`), the course's files (`token pos word tag`) and any other order, which
`columns` names. Fields are parted at spaces and tabs alone, since a word may itself be a no-break space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from normlab.data.sentences import Sentence, SentenceFile
from normlab.data.text_lines import text_lines
from normlab.errors import UserError

COURSE_COLUMNS = ("token", "pos", "word", "tag")
_LINES_TO_GUESS_FROM = 200


class Layout(NamedTuple):
    """What stands where: the delimiter ("\\t" or " ") and the columns' names, in order."""

    delimiter: str
    columns: tuple[str, ...]

    def split(self, text: str) -> list[str]:
        """Return the fields of a line."""
        text = text.rstrip(" \t")
        return text.split("\t") if self.delimiter == "\t" else [field for field in text.split(" ") if field]


class ColumnFile(SentenceFile):
    """A column file.

    Args:
        path: the file.
        columns: names in the file's order, as a sequence or one string (`"token,pos,word,tag"`): `word` must
            be among them, `tag` if there are tags; `token`, if there, is the normalised word for the
            embedding; the rest is ignored. None guesses: the course's order if the third of four columns
            repeats the first, else the word first and the tag last.
        **options: as in `SentenceFile`.
    """

    def __init__(self, path: str | Path, *, columns: str | Sequence[str] | None = None, **options: Any) -> None:
        super().__init__(path, **options)
        self.columns = None if columns is None else _column_names(columns)

    def layout(self) -> Layout:
        """Return the delimiter and columns, read off the file's first lines where they are not given."""
        lines = (text for _, text in text_lines(self.path, self.encoding) if is_word_line(text))
        sample = list(islice(lines, _LINES_TO_GUESS_FROM))
        if not sample:
            raise UserError(f"{self.path}: holds no sentence, only blank lines")
        bare = Layout("\t" if "\t" in sample[0] else " ", ())
        return bare._replace(columns=self.columns or _guess_columns([bare.split(text) for text in sample]))

    def _drafts(self) -> Iterator[Sentence]:
        layout = self.layout()
        rows: list[list[str]] = []
        number, first = 0, 0
        for line, text in text_lines(self.path, self.encoding):
            if not is_word_line(text):
                if rows:
                    yield _sentence(rows, layout, number, first)
                    rows = []
                continue
            if not rows:
                number, first = number + 1, line
            rows.append(self._fields(text, layout, number, line))
            self._check_length(len(rows), number, first)
        if rows:
            yield _sentence(rows, layout, number, first)

    def _fields(self, text: str, layout: Layout, number: int, line: int) -> list[str]:
        fields = layout.split(text)
        if len(fields) != len(layout.columns):
            kind = "tab" if layout.delimiter == "\t" else "space"
            raise UserError(
                f"{self.path}:{line}: sentence {number}: {len(fields)} {kind}-separated columns, expected "
                f"{len(layout.columns)} ({' '.join(layout.columns)}); mend the line or name the --columns"
            )
        return fields


def is_word_line(text: str) -> bool:
    """Return whether a line holds a word: it is neither blank nor CoNLL's document mark."""
    return text.strip(" \t") != "" and not text.startswith("-DOCSTART-")


def _sentence(rows: list[list[str]], layout: Layout, number: int, line: int) -> Sentence:
    by_name = dict(zip(layout.columns, zip(*rows, strict=True), strict=True))
    words = by_name["word"]
    return Sentence(words, by_name.get("tag"), by_name.get("token", words), number, line)


def _column_names(columns: str | Sequence[str]) -> tuple[str, ...]:
    names = columns.replace(",", " ").split() if isinstance(columns, str) else columns
    names = tuple(name.lower() for name in names)
    if "word" not in names or any(names.count(name) > 1 for name in ("word", "tag", "token")):
        raise UserError(f"columns '{' '.join(names)}': name `word` once, and `tag` and `token` at most once")
    return names


def _guess_columns(rows: list[list[str]]) -> tuple[str, ...]:
    width = len(rows[0])
    if width == 4:
        repeated = sum(len(row) == 4 and row[0].lower() == row[2].lower() for row in rows)
        # A half is enough: the first column may hold lemmas.
        if repeated * 2 >= len(rows):
            return COURSE_COLUMNS
    middle = tuple(f"column{place}" for place in range(2, width))
    return ("word", *middle, "tag") if width > 1 else ("word",)
