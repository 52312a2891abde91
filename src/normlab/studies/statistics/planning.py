"""How many more seeds a question would take."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats

from normlab.studies.statistics.intervals import finite_vector, mean_interval

MOST_SEEDS = 1000  # an answer beyond this is "not by more seeds"


def seeds_needed(differences: Sequence[float], *thresholds: float, level: float = 0.95) -> int | None:
    """Return how many more paired seeds would move the interval off every threshold.

    It supposes that mean and standard deviation stay what they are, so it is a plan, not a promise: about
    half of such studies will be decided by then.

    Args:
        differences: paired differences so far, at least two.
        thresholds: values the interval must not hold: 0 for "better", both margins for "equal".
    Returns: 0 if it is decided already; None if no number can be named (one seed, no spread, or more than 1,000).
    """
    values = finite_vector(differences)
    now = mean_interval(values.tolist(), level)
    if now.std is None:
        return None
    distance = min(abs(now.mean - threshold) for threshold in thresholds)
    for n in range(now.n, MOST_SEEDS + 1):
        if float(stats.t.ppf((1 + level) / 2, n - 1)) * now.std / n**0.5 < distance:
            return n - now.n
    return None
