"""Are two schemes practically equal? A region of practical equivalence, and a probability for each answer.

A p-value above 5 % does not say that two are equal. The Bayesian correlated t-test gives the probabilities that a is
better than b by more than the margin, that they differ by less, and that b is better (Corani & Benavoli 2015;
Benavoli et al. 2017, section 4.1); two one-sided tests give the p-value of a claim of equality (Schuirmann 1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from normlab.studies.statistics.folds import standard_error
from normlab.studies.statistics.intervals import finite_vector, mean_interval
from normlab.studies.statistics.probabilities import t_above, t_below


@dataclass(frozen=True)
class Rope:
    """Posterior probabilities of the mean difference a - b; they sum to 1.

    Attributes:
        better: P(difference > margin), a is better where more is better.
        equal: P(-margin <= difference <= margin).
        worse: P(difference < -margin).
    """

    better: float
    equal: float
    worse: float
    margin: float
    n: int


def correlated_t(differences: Sequence[float], margin: float, *, correlation: float = 0.0) -> Rope:
    """Return the probabilities that a is better, equal or worse by the Bayesian correlated t-test.

    The posterior of the mean difference is Student's t with n - 1 degrees of freedom, the mean of the differences as
    its place and sqrt((1/n + r / (1 - r)) s^2) as its scale, r being the correlation (Benavoli et al. 2017, eq. 8).

    Args:
        differences: paired, turned so that more is better.
        margin: half the width of the region of practical equivalence, in the metric's unit.
        correlation: between differences. 0 for seeds, which train and test on the same data and are drawn
            independently; 1/k for the folds of a k-fold cross-validation, whose training sets overlap.
    Raises: ValueError for fewer than two differences, a negative margin, or a correlation outside [0, 1).
    """
    values = finite_vector(differences)
    n = len(values)
    if n < 2:
        raise ValueError(f"expected at least two differences, got {n}")
    if margin < 0 or not 0 <= correlation < 1:
        raise ValueError(f"margin must not be negative and correlation lie in [0, 1), got {margin} and {correlation}")
    now = mean_interval(values.tolist())
    assert now.std is not None
    error = now.std * (1 / n + correlation / (1 - correlation)) ** 0.5 if now.has_spread else 0.0
    return rope(now.mean, error, n - 1, margin, n)


def equivalence_p(differences: Sequence[float], margin: float, *, overlap: float = 0.0) -> float | None:
    """Return the p-value of two one-sided paired t-tests: below 5 %, the mean difference lies within the margin.

    None for one difference, or where all are equal and show no spread. `overlap` is that of folds.
    """
    now = mean_interval(finite_vector(differences).tolist())
    if now.std is None or not now.has_spread:
        return None
    error = standard_error(now.std, now.n, overlap)
    below = t_above((now.mean + margin) / error, now.n - 1)
    above = t_below((now.mean - margin) / error, now.n - 1)
    return max(below, above)


def rope(mean: float, error: float, degrees: float, margin: float, n: int) -> Rope:
    """Return the probabilities under a Student's t posterior; a point where `error` is 0."""
    if error == 0:
        better, worse = float(mean > margin), float(mean < -margin)
    else:
        better, worse = t_above((margin - mean) / error, degrees), t_below((-margin - mean) / error, degrees)
    return Rope(better, max(0.0, 1 - better - worse), worse, margin, n)
