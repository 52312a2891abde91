"""What one training recorded over time, as a sequence of records that are made when they are asked for.

A record as a dictionary takes some 300 bytes, here 12 and 16 for each of its numbers. All trainings of a table lie in
the same four arrays, and each has a slice of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np

_AT_ONCE = 4096  # records that are made together


def whole(time: float) -> float:
    """Return a finite time as an int if it is a whole number."""
    return int(time) if time == int(time) else time


def no_curves() -> Curves:
    """Return the curves of a training of which only the end is known."""
    return _NONE


class Curves(Sequence[dict[str, Any]]):
    """Records {"epoch": when, metric: value}, in the order of time; a value that is not finite is None.

    Args:
        times: when, of each record.
        starts: index of the first of each record's numbers in `values`, and the end of the last one's.
        codes: index in `names` of what each number measures.
        values: the numbers.
    """

    def __init__(
        self, times: np.ndarray, starts: np.ndarray, codes: np.ndarray, values: np.ndarray, names: Sequence[str]
    ) -> None:
        self._times, self._starts, self._codes, self._values, self._names = times, starts, codes, values, names

    @classmethod
    def of(cls, records: Mapping[float, Mapping[str, float]]) -> Curves:
        """Return what was measured at some times, in any order."""
        times = sorted(records)
        names = {
            name: code for code, name in enumerate(dict.fromkeys(name for when in times for name in records[when]))
        }
        sizes = [len(records[when]) for when in times]
        numbers = [(names[name], value) for when in times for name, value in records[when].items()]
        return cls(
            np.array(times, object),  # not all whole numbers have a float
            np.cumsum([0, *sizes]),
            np.array([code for code, _ in numbers], np.int32),
            np.array([value for _, value in numbers], np.float64),
            list(names),
        )

    def finals(self) -> dict[str, float]:
        """Return each metric's last value, finite or not; metrics in the order in which they first appear."""
        finals: dict[str, float] = {}
        for part in self._pieces():
            finals.update(zip(self._names_of(part), self._values[part].tolist(), strict=True))
        return finals

    def of_metric(self, name: str) -> np.ndarray:
        """Return a metric's values, in the order of time."""
        return self._values[self._all][self._where(name, self._all)]

    def over_time(self, name: str) -> Iterator[tuple[float, float]]:
        """Yield when a metric was measured and its values, without those that are not finite."""
        for part in self._pieces():
            chosen = np.flatnonzero(self._where(name, part) & np.isfinite(self._values[part])) + part.start
            records = np.searchsorted(self._starts, chosen, side="right") - 1
            yield from zip(map(whole, self._times[records].tolist()), self._values[chosen].tolist(), strict=True)

    def divide(self, name: str, by: float) -> None:
        """Divide a metric's values."""
        self._values[self._all][self._where(name, self._all)] /= by

    @property
    def names(self) -> list[str]:
        """The metrics that some record has."""
        return [self._names[code] for code in np.unique(self._codes[self._all]).tolist()]

    @property
    def _all(self) -> slice:
        """The numbers of this training among those of all."""
        return slice(int(self._starts[0]), int(self._starts[-1]))

    def _pieces(self) -> Iterator[slice]:
        every = self._all
        for first in range(every.start, every.stop, _AT_ONCE):
            yield slice(first, min(first + _AT_ONCE, every.stop))

    def _where(self, name: str, part: slice) -> np.ndarray:
        return self._codes[part] == (self._names.index(name) if name in self._names else -1)

    def __len__(self) -> int:
        return len(self._times)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for first in range(0, len(self), _AT_ONCE):
            yield from self._made(first, min(first + _AT_ONCE, len(self)))

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = index + len(self) if index < 0 else index
        if not 0 <= row < len(self):
            raise IndexError(index)
        return self._made(row, row + 1)[0]

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    def _made(self, first: int, end: int) -> list[dict[str, Any]]:
        """Return the records of some rows."""
        starts = self._starts[first : end + 1].tolist()
        part = slice(starts[0], starts[-1])
        values = [value if math.isfinite(value) else None for value in self._values[part].tolist()]
        pairs = list(zip(self._names_of(part), values, strict=True))
        ends = (end - starts[0] for end in starts[1:])
        begins = (begin - starts[0] for begin in starts[:-1])
        return [
            {"epoch": whole(when), **dict(pairs[begin:end])}
            for when, begin, end in zip(self._times[first:end].tolist(), begins, ends, strict=True)
        ]

    def _names_of(self, part: slice) -> list[str]:
        return [self._names[code] for code in self._codes[part].tolist()]


_NONE = Curves.of({})
