"""Several comparisons at once: for each an interval and a p-value that their number has been taken out of.

Holm's procedure goes from the smallest p-value up and asks of the i-th of m that it lie below alpha / (m - i + 1); the
first that does not ends it. The interval of a comparison is as wide as its step asks for, so that it leaves out zero
exactly where the procedure finds a difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from normlab.studies.statistics.intervals import Interval, mean_interval
from normlab.studies.statistics.paired import sign_flip_p_value, t_test_p_value
from normlab.studies.statistics.planning import seeds_needed
from normlab.studies.statistics.significance import holm

ALPHA = 0.05


@dataclass(frozen=True)
class Adjusted:
    """One comparison out of several.

    Attributes:
        interval: of the mean difference, at the level that Holm's step asks for; no bounds for one seed, or where all
            differences are equal and show no spread.
        p_value: Holm-adjusted: of the paired t-test, or of the sign-flip test where there is no spread.
        more_seeds: paired seeds that would decide it if mean and spread stay; None if it is decided, or if no
            number can be named.
    """

    interval: Interval
    p_value: float
    more_seeds: int | None

    @property
    def decided(self) -> bool:
        """True if the procedure finds a difference."""
        return self.p_value < ALPHA


def adjust(differences: Sequence[Sequence[float]], *, overlap: float = 0.0) -> list[Adjusted]:
    """Return an interval and a p-value for each list of paired differences (Holm 1979).

    `overlap` is that of folds, see `folds`.

    Raises: ValueError for an empty list or a value that is not finite.
    """
    raw = [_p_value(each, overlap) for each in differences]
    adjusted = holm(raw)
    levels = _levels(raw, adjusted)
    return [_one(*each, overlap) for each in zip(differences, adjusted, levels, strict=True)]


def _p_value(differences: Sequence[float], overlap: float) -> float:
    p_value = t_test_p_value(mean_interval(differences), overlap)
    if p_value is not None:
        return p_value
    return 1.0 if overlap else sign_flip_p_value(differences)  # which would take folds for independent


def _levels(raw: Sequence[float], adjusted: Sequence[float]) -> list[float]:
    """Return 1 - alpha / (m - i + 1) for the i-th smallest p-value; those after the end share the last step's."""
    order = sorted(range(len(raw)), key=lambda index: raw[index])
    levels = [0.0] * len(raw)
    step = 0
    for position, index in enumerate(order):
        if position == 0 or adjusted[order[position - 1]] < ALPHA:
            step = position
        levels[index] = 1 - ALPHA / (len(raw) - step)
    return levels


def _one(differences: Sequence[float], p_value: float, level: float, overlap: float) -> Adjusted:
    interval = mean_interval(differences, level, overlap=overlap)
    if not interval.has_spread:
        return Adjusted(replace(interval, low=None, high=None), p_value, None)
    more = None if p_value < ALPHA else seeds_needed(differences, 0.0, level=level, overlap=overlap)
    return Adjusted(interval, p_value, more or None)
