"""A mean with its uncertainty.

Student's t interval: exact for normal values at any n >= 2 (why no bootstrap stands here: see
`normlab.studies.statistics.paired`). One value shows no spread, so there is no interval: its
bounds are None, never zero wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from normlab.studies.statistics.folds import standard_error
from normlab.studies.statistics.probabilities import t_quantile


@dataclass(frozen=True)
class Interval:
    """A mean, its interval, and the numbers behind them.

    Attributes:
        low: lower bound; None if n = 1.
        high: upper bound; None if n = 1.
        std: sample standard deviation (n - 1); None if n = 1.
        level: share of such intervals that hold the true mean.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    std: float | None
    level: float = 0.95

    @property
    def known(self) -> bool:
        """True if there is an interval, that is n >= 2."""
        return self.low is not None

    @property
    def has_spread(self) -> bool:
        """True if the values differ by more than rounding; few seeds on few test examples may all agree."""
        return self.std is not None and self.std > 1e-9 * abs(self.mean)

    def overlaps(self, other: Interval) -> bool:
        """True if the two share a value, or if one of them has no bounds: then nothing tells them apart."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return True
        return self.low <= other.high and other.low <= self.high


def mean_interval(values: Sequence[float], level: float = 0.95, *, overlap: float = 0.0) -> Interval:
    """Return mean, standard deviation and Student's t interval.

    Args:
        overlap: of folds' training sets, by which the interval is wider: see `folds`.

    Raises: ValueError for no values, one that is not finite, or a level outside (0, 1).
    """
    array = finite_vector(values)
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    mean, n = float(array.mean()), len(array)
    if n == 1:
        return Interval(mean, None, None, 1, None, level)
    std = float(array.std(ddof=1))
    half = t_quantile((1 + level) / 2, n - 1) * standard_error(std, n, overlap)
    return Interval(mean, mean - half, mean + half, n, std, level)


def finite_vector(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return values as float64 (n,); ValueError if there are none or one is not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"expected a list of at least one value, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite: count diverged runs apart, do not average them")
    return array
