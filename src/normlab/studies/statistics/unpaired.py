"""Two sets of runs that share no seeds, or only some: Welch's interval, a bootstrap, and the test for partial pairs.

Where all seeds match, `paired` is sharper, since what both runs of a seed share cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from normlab.studies.statistics.intervals import Interval, finite_vector, mean_interval
from normlab.studies.statistics.probabilities import t_above, t_quantile

_DRAWS = 10_000


@dataclass(frozen=True)
class MeanDifference:
    """A difference of means a - b.

    Attributes:
        interval: Student's t, at `degrees` of freedom; `n` is the smaller number of runs.
        p_value: two-sided; None where the runs show no spread.
        error: standard error of the difference; 0 without spread.
        pairs: how many pairs it used.
    """

    interval: Interval
    p_value: float | None
    error: float
    degrees: float
    pairs: int


def welch(
    a: Sequence[float], b: Sequence[float], level: float = 0.95, *, overlaps: tuple[float, float] = (0.0, 0.0)
) -> MeanDifference:
    """Compare means of independent runs whose variances may differ (Welch 1947).

    Args:
        overlaps: of each side, where its runs are folds, see `folds`.

    Raises: ValueError for fewer than two runs on a side, or a value that is not finite.
    """
    return _compared(finite_vector(a), finite_vector(b), 0, 0.0, level, overlaps)


def partly_paired(a: Mapping[int, float], b: Mapping[int, float], level: float = 0.95) -> MeanDifference:
    """Compare runs by seed of which some are on both sides: all runs count, pairs for their correlation too.

    The statistic T_new2 of Derrick et al. (2017), "Test statistics for the comparison of means for two samples that
    include both paired and independent observations", eq. 4: Welch's without pairs, the paired t-test with pairs alone.

    Args:
        a, b: seed -> value; at least three seeds in both.
    """
    shared = sorted(a.keys() & b.keys())
    if len(shared) < 3:
        raise ValueError(f"a correlation needs at least three pairs, got {len(shared)}")
    x, y = np.array([a[seed] for seed in shared]), np.array([b[seed] for seed in shared])
    known = x.std() > 0 and y.std() > 0
    correlation = float(np.corrcoef(x, y)[0, 1]) if known else 0.0
    return _compared(finite_vector(list(a.values())), finite_vector(list(b.values())), len(shared), correlation, level)


def bootstrap_means(a: Sequence[float], b: Sequence[float], level: float = 0.95, seed: int = 0) -> Interval:
    """Return the percentile bootstrap interval of the difference of means, each side drawn from its own runs.

    It assumes no distribution, but is too narrow for few runs (see the table in `paired`).
    """
    draws = np.random.default_rng(seed)
    x, y = finite_vector(a), finite_vector(b)
    means = [draws.choice(values, (_DRAWS, len(values))).mean(1) for values in (x, y)]
    low, high = np.quantile(means[0] - means[1], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(x.mean() - y.mean()), float(low), float(high), min(len(x), len(y)), None, level)


def _compared(
    a: np.ndarray,
    b: np.ndarray,
    pairs: int,
    correlation: float,
    level: float,
    overlaps: tuple[float, float] = (0.0, 0.0),
) -> MeanDifference:
    if min(len(a), len(b)) < 2:
        raise ValueError(f"expected at least two runs on each side, got {len(a)} and {len(b)}")
    (m, n), (v, w) = (len(a), len(b)), (a.var(ddof=1), b.var(ddof=1))
    mean = float(a.mean() - b.mean())
    x, y = v / m + v * overlaps[0], w / n + w * overlaps[1]  # squared errors of the two means
    squared = x + y - 2 * correlation * (v * w) ** 0.5 * pairs / (m * n)
    if squared <= 1e-18 * max(mean * mean, mean_interval(b.tolist()).mean ** 2):
        return MeanDifference(Interval(mean, None, None, min(m, n), None, level), None, 0.0, min(m, n) - 1.0, pairs)
    degrees = (x + y) ** 2 / (x**2 / (m - 1) + y**2 / (n - 1))
    if pairs:
        alone = m + n - 2 * pairs
        degrees = (pairs - 1) + (degrees - pairs + 1) / (m + n) * alone
    error = squared**0.5
    half = t_quantile((1 + level) / 2, degrees) * error
    p_value = 2 * t_above(abs(mean) / error, degrees)
    interval = Interval(mean, mean - half, mean + half, min(m, n), None, level)
    return MeanDifference(interval, p_value, error, degrees, pairs)
