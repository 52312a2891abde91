"""Intervals of a mean and of a paired difference, against scipy, enumeration and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from normlab.studies.statistics import compare_paired, mean_interval
from normlab.studies.statistics.paired import sign_flip_p_value

VALUES = [0.871, 0.883, 0.869, 0.874, 0.880]


def test_mean_interval_equals_scipys():
    found = mean_interval(VALUES, level=0.9)
    low, high = stats.t.interval(0.9, 4, np.mean(VALUES), stats.sem(VALUES))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.std == pytest.approx(np.std(VALUES, ddof=1))
    assert (found.n, found.level) == (5, 0.9)


def test_one_value_has_no_interval():
    found = mean_interval([0.9])
    assert (found.mean, found.low, found.high, found.std) == (0.9, None, None, None)
    assert not found.known


def test_an_interval_without_bounds_overlaps_everything():
    assert mean_interval([0.9]).overlaps(mean_interval([0.1, 0.2]))
    assert not mean_interval([0.90, 0.91, 0.92]).overlaps(mean_interval([0.1, 0.11, 0.12]))


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [1.0, float("inf")]])
def test_no_values_or_infinite_ones_are_refused(values):
    with pytest.raises(ValueError):
        mean_interval(values)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_intervals_cover_the_truth_in_95_percent_of_studies(n):
    rng = np.random.default_rng(n)
    covered = 0
    for _ in range(2000):
        shared = rng.normal(0.9, 0.02, n)  # what both schemes owe to the seed
        a, b = shared + 0.004 + rng.normal(0, 0.003, n), shared + rng.normal(0, 0.002, n)
        difference = compare_paired(a.tolist(), b.tolist()).difference
        covered += difference.low <= 0.004 <= difference.high
    assert 0.93 <= covered / 2000 <= 0.97


@pytest.mark.parametrize("n", [1, 2, 4, 7])
def test_sign_flip_p_value_equals_enumeration(n):
    differences = np.random.default_rng(n).normal(0.5, 1, n)
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=n)
    ]
    expected = np.mean([total >= abs(differences.sum()) - 1e-12 for total in sums])
    assert sign_flip_p_value(differences) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 3, 6, 9])
def test_sign_flip_p_value_equals_scipys_permutation_test(n):
    differences = np.random.default_rng(n).normal(0.5, 1.0, n)
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p_value(differences) == pytest.approx(expected.pvalue)


def test_drawn_sign_flips_agree_with_the_normal_limit():
    differences = np.random.default_rng(3).normal(0.15, 1, 60)
    z = abs(differences.sum()) / np.sqrt((differences**2).sum())
    assert sign_flip_p_value(differences) == pytest.approx(2 * stats.norm.sf(z), abs=0.01)


def test_sign_flip_rejects_a_true_null_no_more_often_than_stated():
    rng = np.random.default_rng(0)
    rejected = sum(sign_flip_p_value(rng.normal(0, 1, 7)) <= 0.05 for _ in range(2000))
    assert 0.03 <= rejected / 2000 <= 0.06  # the nearest attainable level below 5 % is 6/128


def test_paired_t_p_value_equals_scipys():
    other = [0.868, 0.876, 0.870, 0.869, 0.872]
    assert compare_paired(VALUES, other).p_t == pytest.approx(stats.ttest_rel(VALUES, other).pvalue)


def test_unequal_numbers_of_seeds_are_refused():
    with pytest.raises(ValueError):
        compare_paired([1.0, 2.0], [1.0])
