"""Few runs on many tasks in one number, and the share of runs above each score (Agarwal et al. 2021).

Scores are a matrix (runs, tasks), normalised so that tasks can be averaged. Intervals come from the stratified
bootstrap: runs are drawn anew within each task, tasks stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from normlab.studies.statistics.intervals import Interval

_DRAWS = 2_000


def interquartile_mean(
    scores: Sequence[Sequence[float]] | np.ndarray, level: float = 0.95, seed: int = 0, draws: int = _DRAWS
) -> Interval:
    """Return the mean of the middle half of all scores with its stratified bootstrap interval (section 4.3).

    It is robust against outliers, which the mean is not, and uses half of the runs, where the median uses one.

    Args:
        scores: (runs, tasks).
    Raises: ValueError for no scores, or one that is not finite.
    """
    from scipy import stats  # not needed by most commands, and slow to import

    matrix = _matrix(scores)
    value = float(stats.trim_mean(matrix, 0.25, axis=None))
    n, tasks = matrix.shape
    if n < 2:
        return Interval(value, None, None, n, None, level)
    chosen = np.random.default_rng(seed).integers(0, n, (draws, n, tasks))
    resampled = np.take_along_axis(matrix[None], chosen, axis=1).reshape(draws, -1)
    means = stats.trim_mean(resampled, 0.25, axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), n, None, level)


def performance_profile(scores: Sequence[Sequence[float]] | np.ndarray, thresholds: Sequence[float]) -> list[float]:
    """Return for each threshold the share of runs whose score is above it, averaged over tasks (eq. 4)."""
    matrix = _matrix(scores)
    return [float((matrix > threshold).mean()) for threshold in thresholds]


def _matrix(scores: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise ValueError(f"expected finite scores of runs by tasks, got shape {matrix.shape}")
    return matrix
