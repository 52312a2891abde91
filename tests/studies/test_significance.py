"""Holm, McNemar, Friedman, probability of improvement and the planning of seeds, each against an oracle."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from normlab.studies.statistics import (
    bootstrap_interval,
    friedman,
    holm,
    mcnemar,
    mean_interval,
    probability_of_improvement,
    seeds_needed,
)


def test_holm_agrees_with_the_definition_by_closed_testing():
    p = [0.012, 0.04, 0.001, 0.3, 0.012]
    expected = []
    for i in range(len(p)):  # Bonferroni of every subset that holds hypothesis i; the worst one is Holm's value
        subsets = (s for s in range(1, 2 ** len(p)) if s >> i & 1)
        worst = 0.0
        for subset in subsets:
            members = [p[j] for j in range(len(p)) if subset >> j & 1]
            worst = max(worst, min(1.0, len(members) * min(members)))
        expected.append(worst)
    assert holm(p) == pytest.approx(expected)


def test_holm_of_nothing_is_nothing_and_a_wrong_value_is_refused():
    assert holm([]) == []
    with pytest.raises(ValueError):
        holm([0.5, 1.2])


def test_mcnemar_equals_the_binomial_sum():
    labels = [0] * 20
    a = [0] * 9 + [1] * 2 + [0] * 9
    b = [1] * 9 + [0] * 2 + [0] * 9
    found = mcnemar(labels, a, b)
    assert (found.only_a, found.only_b) == (9, 2)
    assert found.difference == pytest.approx(7 / 20)
    assert found.p_value == pytest.approx(2 * sum(math.comb(11, k) for k in range(3)) / 2**11)


def test_mcnemar_of_models_that_never_differ_is_one():
    assert mcnemar([0, 1, 2], [0, 1, 0], [0, 1, 1]).p_value == 1.0


def test_friedman_equals_its_formula_and_scipys_p_value():
    matrix = np.random.default_rng(0).normal(size=(6, 4))
    found = friedman(matrix.tolist())
    n, k = matrix.shape
    mean_ranks = np.mean([[1 + np.sum(row > value) for value in row] for row in matrix], axis=0)
    assert found.mean_ranks == pytest.approx(mean_ranks.tolist())
    assert found.statistic == pytest.approx(12 * n / (k * (k + 1)) * (np.sum(mean_ranks**2) - k * (k + 1) ** 2 / 4))
    assert found.p_value == pytest.approx(stats.friedmanchisquare(*matrix.T).pvalue)


@pytest.mark.parametrize("schemes, q", [(3, 2.343), (5, 2.728), (7, 2.949), (10, 3.164)])
def test_critical_difference_agrees_with_the_printed_table(schemes, q):
    # q at 5 % as Demšar 2006 prints it in table 5(a).
    matrix = np.random.default_rng(1).normal(size=(12, schemes))
    expected = q * math.sqrt(schemes * (schemes + 1) / (6 * 12))
    assert friedman(matrix.tolist()).critical_difference == pytest.approx(expected, rel=5e-4)


def test_diverged_runs_rank_last_and_share_the_rank():
    lost = -math.inf
    assert friedman([[0.9, lost, lost], [0.8, lost, lost]]).mean_ranks == [1.0, 2.5, 2.5]


def test_friedman_of_equal_values_finds_nothing():
    assert friedman([[1.0, 1.0, 1.0]] * 3).p_value == 1.0


@pytest.mark.parametrize("wrong", [[[1.0, 2.0, 3.0]], [[1.0, 2.0]] * 3, [[1.0, 2.0, float("nan")]] * 2])
def test_friedman_refuses_too_little(wrong):
    with pytest.raises(ValueError):
        friedman(wrong)


def test_probability_of_improvement_is_mann_whitneys_share():
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 6, 7).astype(float), rng.integers(0, 5, 5).astype(float)
    expected = stats.mannwhitneyu(a, b).statistic / 35
    assert probability_of_improvement(a.tolist(), b.tolist()).mean == pytest.approx(expected)


def test_probability_of_improvement_keeps_doubt_where_one_side_wins_every_pair():
    found = probability_of_improvement([3.0, 4.0, 5.0], [0.0, 1.0, 2.0])
    assert found.mean == 1.0
    assert found.high == 1.0
    assert 0.3 < found.low < 0.9


def test_swapping_the_sides_mirrors_the_probability():
    a, b = [0.3, 0.5, 0.9, 0.2], [0.1, 0.4, 0.45]
    one, other = probability_of_improvement(a, b), probability_of_improvement(b, a)
    assert (one.mean, one.low, one.high) == pytest.approx((1 - other.mean, 1 - other.high, 1 - other.low))


@pytest.mark.parametrize("n, shift", [(5, 0.0), (5, 1.0), (8, 0.7), (8, 1.5)])
def test_probability_of_improvement_covers_the_truth(n, shift):
    rng = np.random.default_rng(int(10 * shift) + n)
    truth = stats.norm.cdf(shift / math.sqrt(2))
    found = (probability_of_improvement(rng.normal(shift, 1, n), rng.normal(0, 1, n)) for _ in range(2000))
    covered = np.mean([interval.low <= truth <= interval.high for interval in found])
    assert 0.93 <= covered <= 0.98


def test_bootstrap_interval_agrees_with_the_t_interval_when_seeds_are_many():
    differences = np.random.default_rng(5).normal(0.3, 1, 80).tolist()
    found, expected = bootstrap_interval(differences), mean_interval(differences)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.05)
    assert bootstrap_interval(differences) == found


def test_so_many_more_seeds_decide_and_one_fewer_does_not():
    differences = [0.004, -0.002, 0.006, 0.001]
    mean, std = np.mean(differences), np.std(differences, ddof=1)
    more = seeds_needed(differences, 0.0)

    def decided(n: int) -> bool:
        return stats.t.ppf(0.975, n - 1) * std / math.sqrt(n) < mean

    assert more > 0
    assert decided(4 + more)
    assert not decided(4 + more - 1)


def test_equality_must_clear_both_margins():
    differences = [0.001, -0.001, 0.0005, 0.0]
    assert seeds_needed(differences, -0.01, 0.01) == 0
    assert seeds_needed(differences, 0.0) is None or seeds_needed(differences, 0.0) > 100


def test_one_seed_tells_no_number():
    assert seeds_needed([0.1], 0.0) is None


def test_more_seeds_are_counted_from_the_nearest_threshold():
    differences = [0.012, 0.015, 0.011, 0.016]
    std, mean = np.std(differences, ddof=1), np.mean(differences)
    more = seeds_needed(differences, -0.014, 0.014)
    assert more > 0
    assert stats.t.ppf(0.975, 3 + more) * std / math.sqrt(4 + more) < 0.014 - mean
    assert seeds_needed(differences, -0.014) == 0


def test_two_seeds_far_apart_from_zero_are_enough():
    assert stats.t.ppf(0.975, 1) < 13  # half the interval of two values that differ by 2
    assert seeds_needed([12.0, 14.0], 0.0) == 0


@pytest.mark.parametrize(("seeds", "answer"), [(1000, 998), (1001, None)])
def test_more_than_a_thousand_seeds_are_no_answer(seeds, answer):
    def half_width(n: int) -> float:
        return stats.t.ppf(0.975, n - 1) * math.sqrt(2) / math.sqrt(n)

    mean = (half_width(seeds) + half_width(seeds - 1)) / 2  # decided at `seeds`, and not one before
    assert seeds_needed([mean - 1, mean + 1], 0.0) == answer


def test_holm_takes_every_probability_and_returns_none_above_one():
    assert holm([0.0, 1.0]) == [0.0, 1.0]
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("labels", "a", "b"), [([0, 1], [0], [0, 1]), ([0, 1], [0, 1], [0]), ([], [], []), ([[0]], [[0]], [[0]])]
)
def test_mcnemar_refuses_what_is_no_three_lists_of_one_length(labels, a, b):
    with pytest.raises(ValueError, match="three equally long lists"):
        mcnemar(labels, a, b)


def test_friedmans_statistic_of_equal_values_is_zero():
    assert friedman([[1.0, 1.0, 1.0]] * 3).statistic == 0.0


@pytest.mark.parametrize(("a", "b"), [([1.0, math.nan], [1.0]), ([1.0], [math.nan]), ([], [1.0]), ([1.0], [])])
def test_probability_of_improvement_refuses_gaps_on_either_side(a, b):
    with pytest.raises(ValueError, match="no NaN"):
        probability_of_improvement(a, b)


def test_the_side_that_loses_every_pair_may_have_no_chance_at_all():
    found = probability_of_improvement([0.0, 1.0, 2.0], [3.0, 4.0, 5.0])
    assert (found.mean, found.low) == (0.0, 0.0)
    assert 0.1 < found.high < 0.7
