"""Equivalence, partial pairs, aggregates over tasks, power: against integration, simulation, and scipy's own tests."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from normlab.studies.statistics import (
    bootstrap_means,
    both_deviations,
    correlated_t,
    equivalence_p,
    interquartile_mean,
    mean_interval,
    paired_power,
    partly_paired,
    performance_profile,
    seeds_for_margin,
    time_to_target,
    welch,
    wilcoxon_holm,
)

DIFFERENCES = [0.012, 0.004, 0.009, -0.003, 0.007]


@pytest.mark.parametrize("correlation", [0.0, 0.2])
def test_probabilities_of_the_region_are_those_of_the_integrated_posterior(correlation: float) -> None:
    n, mean, var = 5, np.mean(DIFFERENCES), np.var(DIFFERENCES, ddof=1)
    scale = np.sqrt((1 / n + correlation / (1 - correlation)) * var)

    def density(x: float) -> float:  # Student's t by its normalised kernel, without scipy.stats
        return float((1 + ((x - mean) / scale) ** 2 / (n - 1)) ** (-n / 2))

    total = integrate.quad(density, -np.inf, np.inf)[0]
    parts = [integrate.quad(density, *ends, limit=200)[0] / total for ends in ((0.005, np.inf), (-0.005, 0.005))]
    found = correlated_t(DIFFERENCES, 0.005, correlation=correlation)
    assert [found.better, found.equal] == pytest.approx(parts, abs=1e-6)
    assert found.better + found.equal + found.worse == pytest.approx(1)


def test_swapping_the_sides_swaps_the_probabilities() -> None:
    a, b = correlated_t(DIFFERENCES, 0.005), correlated_t([-each for each in DIFFERENCES], 0.005)
    assert (a.better, a.equal, a.worse) == pytest.approx((b.worse, b.equal, b.better))


def test_differences_without_spread_are_decided() -> None:
    found = correlated_t([0.02, 0.02, 0.02], 0.01)
    assert (found.better, found.equal, found.worse) == (1, 0, 0)


def test_equivalence_is_two_one_sided_tests() -> None:
    values = np.array(DIFFERENCES)
    expected = max(
        stats.ttest_1samp(values, -0.02, alternative="greater").pvalue,
        stats.ttest_1samp(values, 0.02, alternative="less").pvalue,
    )
    assert equivalence_p(DIFFERENCES, 0.02) == pytest.approx(expected)


def test_welch_is_scipys() -> None:
    a, b = [0.9, 0.92, 0.91, 0.95], [0.88, 0.89, 0.84]
    expected = stats.ttest_ind(a, b, equal_var=False)
    found = welch(a, b)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_all_pairs_make_the_partly_paired_test_the_paired_one() -> None:
    a, b = dict(enumerate([0.9, 0.92, 0.91, 0.95])), dict(enumerate([0.88, 0.89, 0.9, 0.9]))
    found = partly_paired(a, b)
    assert found.p_value == pytest.approx(stats.ttest_rel(list(a.values()), list(b.values())).pvalue)
    assert found.degrees == pytest.approx(3)


def test_the_partly_paired_interval_covers() -> None:
    draws = np.random.default_rng(3)
    covered = 0
    for _ in range(600):
        shared = draws.normal(size=12)
        a = {seed: 0.5 + shared[seed] + draws.normal() for seed in range(8)}
        b = {seed: shared[seed] + draws.normal() for seed in range(4, 12)}
        interval = partly_paired(a, b).interval
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 0.5 <= interval.high
    assert 0.92 <= covered / 600 <= 0.98


def test_the_bootstrap_of_means_agrees_with_the_normal_interval_at_many_runs() -> None:
    draws = np.random.default_rng(0)
    a, b = draws.normal(1, 1, 300), draws.normal(0, 2, 300)
    half = 1.96 * np.sqrt(a.var() / 300 + b.var() / 300)
    found = bootstrap_means(a.tolist(), b.tolist())
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=0.03)


def test_the_interquartile_mean_is_the_mean_of_the_middle_half() -> None:
    scores = np.random.default_rng(1).normal(size=(8, 5))
    found = interquartile_mean(scores)
    assert found.mean == pytest.approx(np.sort(scores.ravel())[10:30].mean())
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.mean < found.high


def test_runs_are_drawn_within_their_task() -> None:
    scores = np.array([[0.0, 1.0]] * 4)  # no spread within a task, however far apart tasks are
    found = interquartile_mean(scores)
    assert (found.low, found.mean, found.high) == (0.5, 0.5, 0.5)


def test_a_profile_is_the_share_of_runs_above_each_threshold() -> None:
    assert performance_profile([[0.1, 0.5], [0.3, 0.9]], [0.0, 0.3, 0.9]) == [1.0, 0.5, 0.0]


def test_wilcoxon_pairs_do_not_depend_on_other_schemes() -> None:
    draws = np.random.default_rng(2)
    matrix = draws.normal([0, 0.4, 2], size=(9, 3))
    found = wilcoxon_holm(matrix.tolist())
    raw = [stats.wilcoxon(matrix[:, i], matrix[:, j]).pvalue for i, j in itertools.combinations(range(3), 2)]
    order = np.argsort(raw)
    stepped = np.maximum.accumulate(np.sort(raw) * [3, 2, 1]).clip(max=1)
    assert np.array(list(found.values()))[order] == pytest.approx(stepped)


def test_a_diverged_run_ranks_behind_in_wilcoxons_test() -> None:
    matrix = [[1.0 + i / 10, -np.inf] for i in range(6)]
    assert wilcoxon_holm(matrix)[0, 1] == pytest.approx(2 / 2**6)


@pytest.mark.parametrize(("margin", "sd"), [(0.01, 0.005), (0.01, 0.01), (0.01, 0.03)])
def test_planned_seeds_reach_their_power_in_simulated_studies(margin: float, sd: float) -> None:
    n = seeds_for_margin(margin, sd)
    assert n is not None
    draws = np.random.default_rng(n).normal(margin, sd, (20_000, n))
    found = float(np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05))
    assert found == pytest.approx(paired_power(margin, sd, n), abs=0.012)
    assert found >= 0.788
    assert paired_power(margin, sd, n - 1) < 0.8


def test_intervals_of_paired_differences_cover_95_of_100_simulated_studies() -> None:
    draws = np.random.default_rng(4)
    studies, n = 2_000, 5
    shared = draws.normal(size=(studies, n))  # what both runs of a seed share cancels
    a, b = (0.3 + shared + 0.2 * draws.normal(size=(studies, n))), shared + 0.2 * draws.normal(size=(studies, n))
    intervals = [mean_interval(differences) for differences in (a - b).tolist()]
    covered = np.mean([each.low <= 0.3 <= each.high for each in intervals if each.low is not None and each.high])
    assert len(intervals) == studies
    assert 0.93 <= covered <= 0.97


def test_a_target_counts_runs_that_never_reach_it() -> None:
    curves = [{1: 0.5, 2: 0.9}, {1: 0.9, 2: 0.8}, {1: 0.1, 2: 0.2}]
    found = time_to_target(curves, 0.85)
    assert (found.when, found.n, found.median) == ([2, 1], 3, 2)
    assert time_to_target(curves[1:], 0.85).median is None
    assert time_to_target(curves, 0.15, higher=False).when == [1]


def test_both_deviations_are_those_of_rows_and_of_columns() -> None:
    right = np.random.default_rng(5).random((4, 1000)) < 0.8
    found = both_deviations(right)
    assert found.over_seeds == pytest.approx(np.std([row.mean() for row in right], ddof=1))
    assert found.over_items == pytest.approx(stats.sem(right.mean(0)))
    one = both_deviations(right[:1])
    assert one.over_seeds is None
    assert one.over_items == pytest.approx(np.sqrt(one.mean * (1 - one.mean) / 999))
