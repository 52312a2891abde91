"""Lines of word vectors, in GloVe's and word2vec's text formats and those that programs make of them.

A line is a word and its numbers, parted by spaces, tabs, commas or semicolons. Some words of GloVe 840B hold spaces, so
the vector is what stands last, and its size is that of most of the first lines, not of the first one. A first line with
the number of words and the dimension is word2vec's header.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from normlab.data.text.lines import refuse_no_text
from normlab.errors import UserError, excerpt
from normlab.plurals import plural

LONGEST_LINE = 2**20
_SAMPLE = 50
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(rb"[-+]?\d+,\d+")


class Entry(NamedTuple):
    """A line: its number, its word, and the vector's fields, not yet numbers."""

    line: int
    word: str
    numbers: list[bytes]


class _Shape(NamedTuple):
    """What parts a file's fields (None: spaces or tabs), and how many numbers a vector has."""

    separator: bytes | None
    size: int

    def split(self, text: bytes) -> tuple[bytes, list[bytes]]:
        """Return the word and the fields of the vector; fewer of them, and no word, if the line is short."""
        fields = text.strip().rstrip(b",;" if self.separator else b"").rsplit(self.separator, self.size)
        if len(fields) <= self.size:
            return b"", fields[1:]
        word = fields[0].strip()
        if self.separator and len(word) > 1 and word[:1] == word[-1:] == b'"':
            word = word[1:-1].replace(b'""', b'"')
        return word, [field.strip() for field in fields[1:]]


def entries(path: Path, file: IO[bytes], dimension: int | None, wanted: set[bytes] | None) -> Iterator[Entry]:
    """Yield the vectors of an open file, unless their word is not `wanted` (None: all are).

    Args:
        dimension: the size that is asked for, None for the file's own.
    Raises: UserError that names file and line.
    """
    lines = _lines(path, file)
    first = list(islice(lines, _SAMPLE))
    shape = _shape(path, [text for _, text in first], dimension)
    if dimension is not None and shape.size != dimension:
        at = next(number for number, text in first if not _is_header(text, shape))
        raise UserError(f"{path}:{at}: {plural(shape.size, 'number')} after the word, expected {dimension}")
    starts = None if wanted is None or shape.separator else {word.split(None, 1)[0] for word in wanted if word.strip()}
    for number, text in chain(first, lines):
        if number > first[-1][0] and starts is not None and text.split(None, 1)[0] not in starts:
            continue  # not even taken apart
        if number == first[0][0] and _is_header(text, shape):
            continue
        word, numbers = shape.split(text)
        if len(numbers) < shape.size:
            raise UserError(f"{path}:{number}: {plural(len(numbers), 'number')} after the word, expected {shape.size}")
        if not word:
            raise UserError(f"{path}:{number}: {plural(shape.size, 'number')} and no word before them")
        if wanted is None or word in wanted:
            yield Entry(number, word.decode("utf-8", "replace"), numbers)


def vector_of(path: Path, entry: Entry) -> np.ndarray:
    """Return the float32 vector of a line. Raises: UserError for what is no number, or none that float32 holds."""
    try:
        with np.errstate(over="ignore"):
            vector = np.array(entry.numbers, dtype=np.float64).astype(np.float32)
    except ValueError:
        hint = " (decimal commas?)" if any(map(_DECIMAL_COMMA.fullmatch, entry.numbers)) else ""
        raise UserError(f"{path}:{entry.line}: what follows '{excerpt(entry.word)}' is not all numbers{hint}") from None
    if not np.isfinite(vector).all():
        field = entry.numbers[int(np.flatnonzero(~np.isfinite(vector))[0])].decode("utf-8", "replace")
        raise UserError(
            f"{path}:{entry.line}: '{excerpt(field)}' in the vector of '{excerpt(entry.word)}' is not a finite number: "
            "remove the line, or take the file from its source again"
        )
    return vector


def _lines(path: Path, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (number, text) of the lines that are not blank."""
    number = 0
    while text := file.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            refuse_no_text(path, text, "a text of word vectors")
            text = text.removeprefix(_BYTE_ORDER_MARK)
        if b"\0" in text or len(text) > LONGEST_LINE:
            raise UserError(
                f"{path}:{number}: holds a NUL byte or a line beyond 1 MiB: is it word2vec's binary format, or UTF-16? "
                "Save the vectors as UTF-8 text"
            )
        if text.strip():
            yield number, text
    if number == 0:
        raise UserError(f"{path}: holds no vectors, it is empty")


def _shape(path: Path, sample: list[bytes], dimension: int | None) -> _Shape:
    """Return how most of the first lines are built."""
    if not sample:
        raise UserError(f"{path}: holds no vectors, only blank lines")
    if len(sample) == 1 and _has_word2vec_header(sample):
        raise UserError(f"{path}: holds no vectors, only word2vec's header")
    fields = sample[-1].split()[1:]
    if len(fields) > 1 and all(map(_DECIMAL_COMMA.fullmatch, fields)):
        raise UserError(f"{path}:1: the numbers have decimal commas: write decimal points")
    shapes = []
    for separator in (None, b",", b";"):
        sizes = Counter(size for text in sample if (size := _numbers_at_end(text, separator)) > 0)
        if _has_word2vec_header(sample) and len(sample) > 1:
            sizes -= Counter([1])
        if sizes and sizes.total() * 2 >= len(sample) - 1:
            shapes.append(_Shape(separator, _most_common(sizes, dimension)))
    if shapes:
        return max(shapes, key=lambda shape: shape.size)  # of equal ones the first
    raise UserError(
        f"{path}:1: 0 numbers after the word, expected a word vector: a word and its numbers in a line, parted by "
        "spaces, tabs or commas"
    )


def _most_common(sizes: Counter[int], dimension: int | None) -> int:
    """Return the size of most lines; of those that are as common, what is asked for, else the first one."""
    most = max(sizes.values())
    best = [size for size, count in sizes.items() if count == most]
    return dimension if dimension in best else best[0]


def _numbers_at_end(text: bytes, separator: bytes | None) -> int:
    """Return how many fields at a line's end are numbers; the first field is the word, whatever it looks like."""
    fields = text.strip().rstrip(b",;" if separator else b"").split(separator)
    count = 0
    for field in reversed(fields[1:]):
        if not _NUMBER.fullmatch(field.strip()):
            break
        count += 1
    return count


def _has_word2vec_header(sample: Iterable[bytes]) -> bool:
    fields = next(iter(sample)).split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _is_header(text: bytes, shape: _Shape) -> bool:
    """Return whether a first line is word2vec's header, or names of columns."""
    if _has_word2vec_header([text]):
        return shape.size != 1 or int(text.split()[1]) == 1
    if shape.separator is None:
        return False
    _, numbers = shape.split(text)
    return len(numbers) == shape.size > 1 and not any(_NUMBER.fullmatch(field) for field in numbers)
