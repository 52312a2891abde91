"""A file of comma-, semicolon- or tab-separated values with named columns, read whole; mistakes name file and line.

Ten million rows are read in some ten bytes a cell: its text once, never an object of its own for each cell.
"""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from normlab.errors import UserError, excerpt, shortened
from normlab.plurals import plural
from normlab.reading import read_text, told_delimiter
from normlab.studies.foreign.text_column import ROWS, TextColumn

_PIECE = 1 << 20  # characters of a file that are divided into lines at once
BLANKS = ("", "na", "n/a", "none", "null", "-", "--", "–")  # spellings of "not measured"


@dataclass(frozen=True)
class Table:
    """Columns of text, all of one length, and the line of each row."""

    path: Path
    columns: dict[str, TextColumn]
    lines: Sequence[int]
    decimal_comma: bool = False

    def where(self, row: int) -> str:
        """Return file and line of a row."""
        return f"{self.path}:{self.lines[row]}"

    def time(self, column: str, row: int) -> float | None:
        """Return a cell as a step, None for a blank one; a whole one is an int.

        Raises: UserError naming file, line and column if it is text, or not finite.
        """
        value = self.number(column, row)
        if value is None:
            return None
        if not math.isfinite(value):
            raise UserError(f"{self.where(row)}: column '{column}' is {value}: a step is a finite number: correct it")
        return int(value) if value == int(value) else value

    def numbers(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Return a column as float64, and whether each cell holds a number ("nan" is one, too); errors as `number`."""
        rows, texts = len(self.lines), self.columns[column]
        values, held = np.empty(rows), np.ones(rows, bool)
        try:
            for part, cells in enumerate(texts.parts()):
                place = slice(part * ROWS, part * ROWS + len(cells))
                held[place] = list(map(bool, cells))
                values[place] = [float(cell) if cell else math.nan for cell in cells]
        except ValueError:  # a blank in words, a percent sign, or text
            for row in range(rows):
                value = self.number(column, row)
                held[row], values[row] = value is not None, math.nan if value is None else value
        return values, held

    def is_in_percent(self, column: str, rows: Sequence[int] | None = None) -> bool:
        """Return whether the numbers of a column, or of some of its rows, carry percent signs.

        A sign may be left out where every number is above 1, which is a percentage without it.
        Raises: UserError naming file and line where some of smaller numbers carry one and some do not.
        """
        texts = self.columns[column]
        if not texts.has("%"):
            return False
        told = ((row, texts[row].strip()) for row in (range(len(self.lines)) if rows is None else rows))
        cells = [(row, text) for row, text in told if text.lower() not in BLANKS]
        signed = [text.endswith("%") for _, text in cells]
        if any(signed) and not all(signed) and any(abs(self.number(column, row) or 0) <= 1 for row, _ in cells):
            row, text = cells[signed.index(not signed[0])]
            raise UserError(
                f"{self.where(row)}: column '{column}': {shortened(text)} has {'no' if signed[0] else 'a'} percent "
                f"sign, cells before it {'one' if signed[0] else 'none'}: write all of them one way"
            )
        return bool(signed) and all(signed)

    def number(self, column: str, row: int) -> float | None:
        """Return a cell as a number, None for a blank one.

        Raises: UserError naming file, line and column if it is text.
        """
        text = self.columns[column][row].strip()
        value = as_number(text, decimal_comma=self.decimal_comma)
        if value is None and text.lower() not in BLANKS:
            raise UserError(
                f"{self.where(row)}: column '{column}': {shortened(text)} is no number: correct it, or leave the cell "
                "empty"
            )
        return value


def as_number(text: str, *, decimal_comma: bool = False) -> float | None:
    """Return a cell's number ("nan" and "inf" are numbers too), None if it holds none; "91.2 %" is 91.2."""
    text = text.strip().removesuffix("%")
    if decimal_comma:
        text = text.replace(",", ".")
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def read_table(path: Path) -> Table:
    """Read a file whose first row names the columns.

    Raises: UserError for a file that is no such table, an unnamed or doubled column, or a row of another length.
    """
    text = read_text(path)
    told = told_delimiter(_first_line(text))
    delimiter = told or _delimiter(text)
    reader = csv.reader(_lines_of(text), delimiter=delimiter)
    lines = array("I")
    rows: list[list[str]] = []
    try:
        if told:
            next(reader)
        header = [name.strip() for name in next(reader, [])]
        if not any(header):
            raise UserError(f"{path}: empty: expected a first row with the names of the columns")
        _check_header(path, header)
        columns = [TextColumn() for _ in header]
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise UserError(
                    f"{path}:{reader.line_num}: {plural(len(cells), 'cell')}, where the header names "
                    f"{plural(len(header), 'column')}: add what is missing, or put text with a separator in quotes"
                )
            rows.append(cells)
            lines.append(reader.line_num)
            if len(rows) == ROWS:
                _add(columns, rows)
        _add(columns, rows)
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}: is a quote never closed?") from None
    if not lines:
        raise UserError(f"{path}: has a header and no rows: expected a row per run")
    return Table(path, dict(zip(header, columns, strict=True)), lines, decimal_comma=delimiter == ";")


def _lines_of(text: str) -> Iterator[str]:
    """Yield a text's lines with their ends, as a file opened with newline="" has them: any of the three ends one."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin + _PIECE) + 1 or len(text)
        yield from io.StringIO(text[begin:end], newline="")  # which takes four bytes a character
        begin = end


def _add(columns: Sequence[TextColumn], rows: list[list[str]]) -> None:
    """Move rows into columns."""
    for column, cells in zip(columns, zip(*rows, strict=True), strict=False):
        column.add(cells)
    rows.clear()


def _delimiter(text: str) -> str:
    return max((",", ";", "\t"), key=_first_line(text).count)


def _first_line(text: str) -> str:
    return text[: text.find("\n") + 1] or text


def _check_header(path: Path, header: list[str]) -> None:
    for index, name in enumerate(header):
        if as_number(name) is not None and not any(each.isalpha() for each in "".join(header)):
            raise UserError(f"{path}:1: the first row holds numbers ({excerpt(name)}): write the columns' names there")
        if name in header[:index]:
            raise UserError(f"{path}:1: two columns are named '{name}': rename one")
