"""Exact percentiles of a stream of values in half a megabyte, however long the stream.

A bfloat16 has 65,536 values, so a table of how often each occurred suffices for percentiles, and no value is stored.
"Exact" means: the results are those of `numpy.percentile`, with its linear interpolation between
neighbouring order statistics, over all values *as bfloat16*. An activation that the network computed in bfloat16 is
not changed. A float32 value is rounded first, to the nearest; rounding keeps the order, so every order statistic
is the rounded one, off by at most 1/256 of itself (1e-38 and above).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from normlab.kernels.histogram import HISTOGRAM, PATTERNS

_CHUNK = 1 << 22  # values that the plain reference turns into integers at once: 16 MiB


class PercentileSketch:
    """A table of how often each bfloat16 value occurred, and which channels were ever other than zero.

        sketch = PercentileSketch()
        for batch in batches:
            sketch.update(layer(batch))
        low, high = sketch.percentiles([1, 99])

    The table is on the device of the first tensor; only results are copied from it.

    Attributes:
        rounded: whether a tensor of another type than bfloat16 was rounded to it.
    """

    def __init__(self) -> None:
        self.rounded = False
        self._counts: Tensor | None = None  # int64 (65536,), by bit pattern
        self._alive: Tensor | None = None  # bool (C,)

    def update(self, values: Tensor) -> None:
        """Add all entries of a floating-point tensor (N, C, ...) or (N,); axis 1, if there is one, is the channel.

        Raises: ValueError if values are not floating, or the number of channels is another than before.
        """
        if not values.is_floating_point():
            raise ValueError(f"PercentileSketch: values must be floating point, got {values.dtype}")
        values = values.detach() if values.dim() > 1 else values.detach().reshape(-1, 1)
        counts, alive = self._tables(values)
        self.rounded |= values.dtype != torch.bfloat16
        if values.numel() and HISTOGRAM.try_call(values, counts, alive) is None:
            count_patterns_plain(values, counts, alive)

    @property
    def count(self) -> int:
        """The number of values so far."""
        return 0 if self._counts is None else int(self._counts.sum())

    @property
    def channels(self) -> int:
        """The size of axis 1; 0 before the first update."""
        return 0 if self._alive is None else len(self._alive)

    @property
    def dead_share(self) -> float:
        """The share of channels that were zero in every entry so far; not a number before the first update."""
        return math.nan if self._alive is None else float((~self._alive).double().mean())

    def percentiles(self, levels: Sequence[float]) -> list[float]:
        """Return percentiles (levels from 0 to 100), interpolated between order statistics as `numpy.percentile` does.

        Not a number if there was no value yet, or any value was not a number.
        Raises: ValueError for a level outside 0 to 100.
        """
        if not all(0 <= level <= 100 for level in levels):
            raise ValueError(f"PercentileSketch: levels go from 0 to 100, got {list(levels)}")
        if self._counts is None or not self.count:
            return [math.nan] * len(levels)
        counts, values = _ascending(self._counts.cpu()), _every_value()
        if int(counts[values.isnan()].sum()):
            return [math.nan] * len(levels)
        ends = counts.cumsum(0)
        return [_at(values, ends, level / 100 * (int(ends[-1]) - 1)) for level in levels]

    def _tables(self, values: Tensor) -> tuple[Tensor, Tensor]:
        if self._counts is None or self._alive is None:
            self._counts = torch.zeros(PATTERNS, dtype=torch.int64, device=values.device)
            self._alive = torch.zeros(values.shape[1], dtype=torch.bool, device=values.device)
        if len(self._alive) != values.shape[1]:
            raise ValueError(f"PercentileSketch: {values.shape[1]} channels, but there were {len(self._alive)} before")
        return self._counts, self._alive


def count_patterns_plain(values: Tensor, counts: Tensor, alive: Tensor) -> None:
    """Do what the kernel `HISTOGRAM` does with torch's own functions, on any device."""
    alive |= values.to(torch.bfloat16).any(dim=tuple(axis for axis in range(values.dim()) if axis != 1))
    # In the order of memory, so that flattening copies nothing.
    in_order = values.permute(0, 2, 3, 1) if values.dim() == 4 else values
    for part in in_order.flatten().split(_CHUNK):
        pattern = part.to(torch.bfloat16).view(torch.int16).int() & 0xFFFF
        counts += torch.bincount(pattern, minlength=PATTERNS)


@functools.cache
def _every_value() -> Tensor:
    """Return float64 (65536,): all values, ascending as `_ascending` puts a table."""
    patterns = torch.arange(PATTERNS, dtype=torch.int32).to(torch.int16)
    return _ascending(patterns.view(torch.bfloat16).double())


def _ascending(by_pattern: Tensor) -> Tensor:
    """Put a table by bit pattern into the order of the values: negative ones (top bit set) count down, then up."""
    half = PATTERNS // 2
    return torch.cat([by_pattern[half:].flip(0), by_pattern[:half]])


def _at(values: Tensor, ends: Tensor, position: float) -> float:
    """Return the value at a fractional position in the order of all values; `ends` are running counts."""
    places = torch.tensor([math.floor(position), math.ceil(position)])
    below, above = values[torch.searchsorted(ends, places, right=True)].tolist()
    return below if below == above else below + (above - below) * (position - math.floor(position))
