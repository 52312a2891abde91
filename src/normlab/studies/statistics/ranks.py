"""Comparisons by order alone: Friedman's ranking of many schemes, and how often one scheme beats another.

Ranks do not care how far a run falls, so a diverged run may enter Friedman's matrix as minus infinity: it
comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from normlab.studies.statistics.intervals import Interval
from normlab.studies.statistics.probabilities import normal_quantile
from normlab.studies.statistics.significance import holm


@dataclass(frozen=True)
class Ranking:
    """Schemes ranked within each seed.

    Attributes:
        mean_ranks: one per scheme; 1 is best.
        p_value: Friedman's test that all schemes are alike.
        critical_difference: mean ranks farther apart than this differ (Nemenyi, at `alpha`).
        n: number of seeds.
    """

    mean_ranks: list[float]
    statistic: float
    p_value: float
    critical_difference: float
    n: int
    alpha: float


def friedman(matrix: Sequence[Sequence[float]], alpha: float = 0.05) -> Ranking:
    """Rank schemes over seeds (Demšar 2006, section 3.2.2).

    Args:
        matrix: a row per seed, a column per scheme, higher is better; -inf for a diverged run.
    Raises: ValueError for fewer than three schemes or two seeds, or a NaN.
    """
    from scipy import stats  # not needed by most commands, and slow to import

    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 3 or np.isnan(values).any():
        raise ValueError(f"expected numbers of at least 2 seeds by 3 schemes, got shape {values.shape}")
    n, k = values.shape
    ranks = stats.rankdata(-values, axis=1)
    # All rows fully tied leave nothing to rank: Friedman's statistic is then 0/0.
    tied = bool((ranks == ranks[0, 0]).all())
    statistic, p_value = (0.0, 1.0) if tied else stats.friedmanchisquare(*ranks.T)
    q = float(stats.studentized_range.ppf(1 - alpha, k, np.inf)) / 2**0.5
    critical = q * (k * (k + 1) / (6 * n)) ** 0.5
    return Ranking(ranks.mean(0).tolist(), float(statistic), float(p_value), critical, n, alpha)


def wilcoxon_holm(matrix: Sequence[Sequence[float]]) -> dict[tuple[int, int], float]:
    """Return (i, j) -> the Holm-adjusted p-value of Wilcoxon's signed-rank test of columns i < j.

    Unlike Nemenyi's mean ranks, a pair's test does not depend on which other schemes are compared (Benavoli et al.
    2016, "Should we really use post-hoc tests based on mean-ranks?"). Exact up to 50 seeds without ties. With fewer
    than six seeds no pair can come below 5 %.

    Args:
        matrix: as of `friedman`; two runs of a seed that both diverged are a tie.
    Raises: ValueError as `friedman` does.
    """
    from scipy import stats

    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 2 or np.isnan(values).any():
        raise ValueError(f"expected numbers of at least 2 seeds by 2 schemes, got shape {values.shape}")
    finite = values[np.isfinite(values)]
    worst = finite.min() - 2 * np.ptp(finite) - 1 if finite.size else 0.0
    values = np.where(np.isinf(values), worst, values)  # farther from all others than these from each other
    pairs = list(combinations(range(values.shape[1]), 2))
    raw = []
    for i, j in pairs:
        differences = values[:, i] - values[:, j]
        tied = not np.any(differences)
        raw.append(1.0 if tied else float(stats.wilcoxon(differences, zero_method="zsplit").pvalue))
    return dict(zip(pairs, holm(raw), strict=True))


def probability_of_improvement(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """Return the probability that a run of a beats a run of b, ties counting half, with its interval.

    The estimate is the share over all pairs of runs (Mann-Whitney U / mn; Agarwal et al. 2021, section 4).
    The interval is Newcombe's score interval (2006, part 2, method 5), which stays honest where one scheme
    wins every pair: a bootstrap would be zero wide there. `std` is None, `n` the smaller number of runs.
    Raises: ValueError for an empty list or a NaN.
    """
    from scipy.optimize import brentq

    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if not (x.size and y.size) or np.isnan(x).any() or np.isnan(y).any():
        raise ValueError("expected at least one number on each side, and no NaN")
    ordered = np.sort(y)  # all pairs at once would take gigabytes for 100,000 runs
    below, up_to = (np.searchsorted(ordered, x, side) for side in ("left", "right"))
    wins = float((below.sum() + up_to.sum()) / (2 * x.size * y.size))
    z = normal_quantile((1 + level) / 2)
    low, high, edge = 0.0, 1.0, 1e-9  # p = 0 and p = 1 solve the equation too, but not usefully
    if wins > 0:
        low = brentq(lambda p: wins - p - z * _newcombe_error(p, x.size, y.size), 0.0, min(wins, 1 - edge))
    if wins < 1:
        high = brentq(lambda p: p - wins - z * _newcombe_error(p, x.size, y.size), max(wins, edge), 1.0)
    return Interval(wins, low, high, min(x.size, y.size), None, level)


def _newcombe_error(p: float, m: int, n: int) -> float:
    """Return the standard error of U / mn if the true probability is p; m and n are averaged."""
    mean_size = (m + n) / 2 - 1
    spread = 1 + mean_size * ((1 - p) / (2 - p) + p / (1 + p))
    return (p * (1 - p) * spread / (m * n)) ** 0.5
