"""A column of a large table: its cells stand in a few long texts, as many bytes as they have characters, and 4 each.

A list of ten million short texts takes 58 bytes and more for each of them; a column takes some ten.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import overload

import numpy as np

ROWS = 1 << 16  # of a part: all but the last have so many
_LARGEST = 2**62


def combined(coded: Iterable[tuple[np.ndarray, int]], rows: int) -> np.ndarray:
    """Return a number for each row (int64), the same where it is the same in all columns.

    Args:
        coded: of each column the number of each row's value, and how many values there are.
    """
    numbers, most = np.zeros(rows, np.int64), 1
    for codes, count in coded:
        if most * count > _LARGEST:
            numbers, most = np.unique(numbers, return_inverse=True)[1], rows
        numbers, most = numbers * count + codes, most * count
    return numbers


class TextColumn(Sequence[str]):
    """A sequence of texts, read one by one; only added to at the end, by parts of `ROWS`."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, array[int]]] = []  # the cells of a part in one text, and where each of them ends
        self._length = 0

    def add(self, cells: Sequence[str]) -> None:
        """Add a part: `ROWS` cells, or the last ones."""
        assert self._length == len(self._parts) * ROWS, "a part follows the last one"
        self._parts.append(("".join(cells), array("I", accumulate(map(len, cells)))))
        self._length += len(cells)

    def parts(self) -> Iterator[list[str]]:
        """Yield the cells of each part."""
        for text, ends in self._parts:
            yield [text[begin:end] for begin, end in zip((0, *ends), ends, strict=False)]

    def counts(self) -> Iterator[tuple[str, int]]:
        """Yield each different text of a part, and how often it stands there."""
        for cells in self.parts():
            yield from Counter(cells).items()

    def codes(self) -> tuple[np.ndarray, list[str]]:
        """Return the number of each cell's text (int32), and the different texts in the order of their first cells."""
        numbers: dict[str, int] = {}
        codes = np.empty(self._length, np.int32)
        for part, cells in enumerate(self.parts()):
            for text in dict.fromkeys(cells):
                numbers.setdefault(text, len(numbers))
            codes[part * ROWS : part * ROWS + len(cells)] = list(map(numbers.__getitem__, cells))
        return codes, list(numbers)

    def has(self, sign: str) -> bool:
        """Return whether a sign stands in any cell."""
        return any(sign in text for text, _ in self._parts)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(self.parts())

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(self._length))]
        row = index + self._length if index < 0 else index
        if not 0 <= row < self._length:
            raise IndexError(index)
        text, ends = self._parts[row // ROWS]
        row %= ROWS
        return text[ends[row - 1] if row else 0 : ends[row]]
