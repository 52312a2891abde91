"""Folds of a cross-validation are no independent repetitions: their training sets overlap, so they vary too little.

Of J folds the variance of a mean is not s^2 / J but about (1/J + n_test / n_train) s^2 (Nadeau & Bengio 2003,
Inference for the generalization error, section 5). n_test / n_train is the `overlap` that functions here take: 0 for
seeds, 1 / (K - 1) for K folds, however often the data are divided anew (Bouckaert & Frank 2004). A test simulates the
coverage: of ten correlated folds, ordinary 95 % intervals hold the truth in 86 % of studies.
"""

from __future__ import annotations

import math

CORRECTED = "corrected for overlapping training sets"  # as reports say it


def overlap_of(folds: int | None) -> float:
    """Return n_test / n_train of K folds; 0 for None, repetitions that are no folds.

    >>> overlap_of(5), overlap_of(None)
    (0.25, 0.0)
    """
    return 0.0 if folds is None else 1 / (folds - 1)


def standard_error(std: float, n: int, overlap: float = 0.0) -> float:
    """Return the standard error of the mean of n values with a sample standard deviation.

    Raises: ValueError for a negative overlap.
    """
    if overlap < 0:
        raise ValueError(f"overlap must not be negative, got {overlap}")
    return std * math.sqrt(1 / n + overlap) if overlap else std / math.sqrt(n)
