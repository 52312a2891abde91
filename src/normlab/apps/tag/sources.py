"""What is to be tagged: a file, standard input, or the text itself, as lines with their places."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from normlab.data.tagging.column_layout import rows_of, signs_of_columns
from normlab.data.tagging.conll import ColumnFile, sample_lines
from normlab.data.tagging.corpus import format_of
from normlab.data.text.lines import text_lines
from normlab.data.text.standard_input import STANDARD_INPUT, path_of
from normlab.errors import UserError, excerpt
from normlab.reading import refuse_special, unreadable

_LOOKS_LIKE_A_FILE = re.compile(r"\S*[^\W\d_]\S*\.[A-Za-z]\w{0,4}")


class Line(NamedTuple):
    """A line of text, or several that are one paragraph, with the line ends between them (`wrapped_lines.py`).

    Attributes:
        number: from 1, of the first line.
        start: what its places count from: 0, or where it begins in a text that was given itself.
    """

    number: int
    start: int
    text: str


class Source(NamedTuple):
    """Text to tag.

    Attributes:
        name: what messages and titles call it; "" for a text that was given itself.
        path: a file that can be read many times; None for a text.
        text: the text itself, if there is no file.
    """

    name: str
    path: Path | None
    text: str = ""

    def lines(self, encoding: str = "utf-8") -> Iterator[Line]:
        """Yield the lines that are not blank.

        Raises: UserError for what is no text, and if all lines are blank.
        """
        empty = True
        for line in self._all_lines(encoding):
            if line.text.strip():
                empty = False
                yield line
        if empty:
            raise UserError(f"{self.name or 'the text'}: nothing to tag: it is empty, or all white space")

    def _all_lines(self, encoding: str) -> Iterator[Line]:
        if self.path is None:
            start = 0
            for number, text in enumerate(self.text.split("\n"), start=1):
                yield Line(number, start, text.removesuffix("\r"))
                start += len(text) + 1
            return
        try:
            for number, text in text_lines(self.path, encoding):
                yield Line(number, 0, text)
        except UserError as error:
            raise UserError(str(error).replace(str(self.path), self.name)) from None


def source_of(given: str) -> Source:
    """Return what a word of the command line stands for: `-`, a file that exists, or else the text itself.

    Raises: UserError for a folder, for a table of words, and for the name of a file that does not exist.
    """
    if given == str(STANDARD_INPUT):
        return Source("standard input", path_of(STANDARD_INPUT))
    path = Path(given).expanduser()
    if not given or not os.path.exists(path):
        if _LOOKS_LIKE_A_FILE.fullmatch(given) or (os.sep in given and not re.search(r"\s", given)):
            raise UserError(f"{excerpt(given)}: no such file; a text of one word like this one goes through a pipe")
        if any("\ud800" <= sign <= "\udfff" for sign in given):
            raise UserError("the text is not UTF-8: save it as a file, and give its --encoding")
        return Source("", None, given)
    _refuse_no_text(path)
    return Source(str(path), path)


def _refuse_no_text(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{path}: is a folder: give a text file in it")
    try:
        refuse_special(path, path.stat().st_mode)
    except OSError as error:
        raise unreadable(path, error) from None
    if format_of(path) is not ColumnFile:
        raise UserError(
            f"{path}: is a table: `normlab predict` tags its words; for running text give the text in a file of lines"
        )


def refuse_columns(source: Source, encoding: str) -> None:
    """Raise `UserError` for the words of a column file, which are no running text."""
    if source.path is None:
        return
    _, rows, width = rows_of(sample_lines(source.path, encoding))
    alike = [row for row in rows if len(row) == width]
    if width > 1 and len(alike) > 2 and any(signs_of_columns(alike)):
        raise UserError(
            f"{source.name}: holds {width} columns, not running text: `normlab predict` tags the words of such a file"
        )
