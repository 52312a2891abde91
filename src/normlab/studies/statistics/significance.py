"""p-values: many at once (Holm), and two models on the same test images (McNemar); both are exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class McNemar:
    """Two models on the same examples.

    Attributes:
        only_a: examples that a alone has right; `only_b` likewise.
        difference: accuracy of a minus accuracy of b.
        p_value: exact two-sided probability of so uneven a split of the examples on which they differ.
    """

    only_a: int
    only_b: int
    n: int
    difference: float
    p_value: float


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number, in the given order (Holm 1979).

    Calling those below alpha significant keeps the chance of a single false one below alpha, whatever they
    share.
    Raises: ValueError for a value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError(f"p-values must lie in [0, 1], got {list(p_values)}")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted.tolist()


def mcnemar(labels: Sequence[int], predictions_a: Sequence[int], predictions_b: Sequence[int]) -> McNemar:
    """Test whether two trained models differ on the same examples (McNemar 1947, exact binomial form).

    It speaks of these two sets of weights, not of their schemes: another seed makes other weights.
    Raises: ValueError if the lengths differ or are zero.
    """
    from scipy import stats  # not needed by most commands, and slow to import

    truth, a, b = (np.asarray(values) for values in (labels, predictions_a, predictions_b))
    if not (truth.shape == a.shape == b.shape and truth.ndim == 1 and truth.size):
        raise ValueError(f"expected three equally long lists, got shapes {truth.shape}, {a.shape}, {b.shape}")
    right_a, right_b = a == truth, b == truth
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(right_b & ~right_a))
    unequal = only_a + only_b
    p_value = float(stats.binomtest(only_a, unequal, 0.5).pvalue) if unequal else 1.0
    return McNemar(only_a, only_b, len(truth), (only_a - only_b) / len(truth), p_value)
