"""The course's CSV of images: no header, one image a row, channel by channel, integers from 0 to 255.

A row of a 32x32 colour image has 3,072 numbers: its red rows, its green ones, its blue ones. Read line by
line.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from normlab.data.image.pixels import resize_bilinear
from normlab.errors import UserError
from normlab.plurals import plural

SIZE = 32
_LONGEST_LINE = 1 << 20  # characters; an image takes 12,000


def read_csv_images(path: Path, *, size: int = SIZE, channels: int = 3) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield one uint8 (channels, size, size) per row, in constant memory.

    Raises: UserError naming file:row for a row that is not channels·32·32 integers from 0 to 255, or an empty
        file.
    """
    shape = (channels, SIZE, SIZE)
    row = 0
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            for row, line in enumerate(_without_trailing_blanks(_lines(file, path)), start=1):
                image = _numbers(line, int(np.prod(shape)), f"{path}:{row}").reshape(shape)
                yield image if size == SIZE else resize_bilinear(image[None], size)[0]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check it and its permissions") from error
    if row == 0:
        raise UserError(f"{path}: empty; expected one image a row, {int(np.prod(shape))} integers from 0 to 255")


def _lines(file: IO[str], path: Path) -> Iterator[str]:
    """Yield the lines; one that is far too long for an image is refused before it fills the memory."""
    for number in count(1):
        line = file.readline(_LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > _LONGEST_LINE:
            raise UserError(
                f"{path}:{number}: the line is longer than {_LONGEST_LINE >> 20} MiB; expected an image a row"
            )
        yield line


def _without_trailing_blanks(lines: Iterator[str]) -> Iterator[str]:
    """Drop blank lines at the end; one in between is kept, because it would shift the rows after it."""
    blank = 0
    for line in lines:
        if line.strip():
            yield from [""] * blank
            blank = 0
            yield line
        else:
            blank += 1


def _numbers(line: str, expected: int, where: str) -> npt.NDArray[np.uint8]:
    fields = line.strip().split(",") if line.strip() else []
    if len(fields) != expected:
        raise UserError(
            f"{where}: {plural(len(fields), 'number')}, expected {expected} (channel by channel, no header)"
        )
    try:
        values = np.array([int(field) for field in fields], dtype=np.int64)
    except (ValueError, OverflowError):
        column, field = next((n, f) for n, f in enumerate(fields, start=1) if not _is_byte(f))
        raise UserError(f"{where}: column {column} is {field.strip()[:20]!r}, expected an integer 0 to 255") from None
    if wrong := np.flatnonzero((values < 0) | (values > 255)).tolist():
        raise UserError(f"{where}: column {wrong[0] + 1} is {values[wrong[0]]}, expected an integer 0 to 255")
    return values.astype(np.uint8)


def _is_byte(field: str) -> bool:
    try:
        return 0 <= int(field) <= 255
    except ValueError:
        return False
