"""Rows of a comma-separated file with named columns, streamed; what is wrong with it is said with its line."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from normlab.data.text.lines import raw_lines, text_coding
from normlab.errors import UserError

_OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def csv_rows(path: Path, needed: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file:line", column -> cell) of each row; cells that a short row lacks are "".

    Args:
        needed: columns that must be there; others are yielded too.
    Raises: `UserError` if the file cannot be read, is not UTF-8 or not comma-separated, or lacks a column.
    """
    reader = csv.reader(decoded_lines(path))
    try:
        header = next(reader, [])
        _check_header(path, header, needed)
        for cells in reader:
            if cells:
                cells += [""] * (len(header) - len(cells))
                yield f"{path}:{reader.line_num}", dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}: is a quote never closed, or a line end lost?") from None


def csv_header(path: Path) -> list[str]:
    """Return the names of the columns, none of an empty file.

    Raises: `UserError` if the file cannot be read.
    """
    try:
        return next(csv.reader(decoded_lines(path)), [])
    except csv.Error as error:
        raise UserError(f"{path}:1: {error}: is this a comma-separated file?") from None


def decoded_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file (or one whose byte order mark says UTF-16), each with its line end.

    Raises: `UserError` naming file and line if it cannot be read or is no such text.
    """
    coding = text_coding(path, "utf-8")
    for number, text, _ in raw_lines(path, coding):
        if not coding.wide:
            try:
                text = text.encode("latin-1").decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(f"{path}:{number} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
        yield text if coding.line_end == "\n" else text.replace("\r", "\n")


def _check_header(path: Path, header: list[str], needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in header]
    if not missing:
        return
    columns = ", ".join(header)[:200] or "nothing"
    sign = next((sign for sign in _OTHER_DELIMITERS if any(sign in name for name in header)), "")
    hint = f" (separated by {_OTHER_DELIMITERS[sign]}: save it with commas)" if sign else ""
    raise UserError(f"{path}:1 lacks the column '{missing[0]}': it needs {', '.join(needed)}, found {columns}{hint}")
