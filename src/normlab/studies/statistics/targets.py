"""When a curve first reaches a target, and how much of a score's spread is due to test examples and to seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reached:
    """When runs reached a target.

    Attributes:
        when: epoch (or step, or seconds) of each run that did, in the runs' order.
        n: number of runs.
        median: over all runs, those that never reach it counting as later than all others; None if it is one of these.
    """

    when: list[float]
    n: int
    median: float | None


def time_to_target(curves: Iterable[Mapping[float, float]], target: float, *, higher: bool = True) -> Reached:
    """Return when each curve, time -> value, first reaches a target.

    Args:
        higher: higher values are better, so that "reaches" means "is at least".
    """
    first = [
        min((time for time, value in curve.items() if (value >= target if higher else value <= target)), default=None)
        for curve in curves
    ]
    reached = [time for time in first if time is not None]
    ordered = np.array(sorted([*reached, *[np.inf] * (len(first) - len(reached))]))
    middle = float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2 if len(ordered) else np.inf
    return Reached(reached, len(first), middle if np.isfinite(middle) else None)


@dataclass(frozen=True)
class Deviations:
    """Two spreads of a mean score, which answer two questions.

    Attributes:
        over_seeds: standard deviation of the runs' scores: would another seed give another score?
        over_items: standard error of the mean score over test examples: would another test set of this size?
    """

    mean: float
    over_seeds: float | None
    over_items: float
    seeds: int
    items: int


def both_deviations(scores: Sequence[Sequence[float]] | np.ndarray) -> Deviations:
    """Return the spread over seeds and that over test examples (Miller 2024, "Adding error bars to evals").

    Args:
        scores: (seeds, items): of each run and example, 1 for right and 0 for wrong, or any other score.
    Raises: ValueError for fewer than two items.
    """
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] < 2 or not np.isfinite(matrix).all():
        raise ValueError(f"expected finite scores of seeds by at least two items, got shape {matrix.shape}")
    seeds, items = matrix.shape
    over_seeds = float(matrix.mean(1).std(ddof=1)) if seeds > 1 else None
    return Deviations(float(matrix.mean()), over_seeds, float(matrix.mean(0).std(ddof=1) / items**0.5), seeds, items)
