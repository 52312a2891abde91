"""How many seeds a question takes: how many more of a study that is there, and how many of one that is planned."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from normlab.studies.statistics.folds import standard_error
from normlab.studies.statistics.intervals import finite_vector, mean_interval
from normlab.studies.statistics.probabilities import t_quantile

_MOST_PLANNED = 1 << 17
MOST_SEEDS = 1000  # an answer beyond this is "not by more seeds"


def seeds_needed(
    differences: Sequence[float], *thresholds: float, level: float = 0.95, overlap: float = 0.0
) -> int | None:
    """Return how many more paired seeds would move the interval off every threshold.

    It supposes that mean and standard deviation stay what they are, so it is a plan, not a promise: about
    half of such studies will be decided by then.

    Args:
        differences: paired differences so far, at least two.
        thresholds: values the interval must not hold: 0 for "better", both margins for "equal".
        overlap: of folds; more divisions of the data into as many folds narrow the interval only so far.
    Returns: 0 if it is decided already; None if no number can be named (one seed, no spread, or more than 1,000).
    """
    values = finite_vector(differences)
    now = mean_interval(values.tolist(), level)
    if now.std is None:
        return None
    distance = min(abs(now.mean - threshold) for threshold in thresholds)
    std = now.std

    def decides(n: int) -> bool:
        return t_quantile((1 + level) / 2, n - 1) * standard_error(std, n, overlap) < distance

    numbers = range(now.n, MOST_SEEDS + 1)
    more = bisect_left(numbers, True, key=decides)  # the interval's width falls with n
    return more if more < len(numbers) else None


def paired_power(margin: float, sd: float, n: int, alpha: float = 0.05, *, overlap: float = 0.0) -> float:
    """Return the probability that the paired t-test of n seeds finds a true difference of `margin`.

    The statistic follows the noncentral t distribution with n - 1 degrees of freedom and noncentrality
    margin sqrt(n) / sd (Cohen 1988, chapter 2).

    Args:
        sd: standard deviation of the paired differences, not of either side.
        overlap: of folds, see `folds`.
    """
    from scipy import stats  # not needed by most commands, and slow to import

    critical = t_quantile(1 - alpha / 2, n - 1)
    shift = abs(margin) / standard_error(sd, n, overlap)
    return float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))


def seeds_for_margin(
    margin: float, sd: float, *, alpha: float = 0.05, power: float = 0.8, overlap: float = 0.0
) -> int | None:
    """Return the smallest number of paired seeds at which the t-test finds a difference of `margin`.

    Args:
        sd: standard deviation of the paired differences.
        power: probability of finding it.
        overlap: of folds, see `folds`: then also None where no number of folds finds it.
    Returns: None if it is more than 100,000.
    Raises: ValueError for a margin or sd that is not positive, or a probability outside (0, 1).
    """
    if not (margin > 0 and sd > 0 and 0 < alpha < 1 and 0 < power < 1):
        raise ValueError(f"expected positive margin and sd and probabilities, got {margin}, {sd}, {alpha}, {power}")
    low, high = 1, 2
    while paired_power(margin, sd, high, alpha, overlap=overlap) < power:
        low, high = high, 2 * high
        if high > _MOST_PLANNED:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if paired_power(margin, sd, middle, alpha, overlap=overlap) >= power else (middle, high)
        )
    return high
