"""Intervals of several comparisons agree with Holm's verdicts on them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from normlab.studies.statistics import adjust, holm, mean_interval, seeds_needed

FAR = [0.1, 0.11, 0.09, 0.1]
NEAR = [0.010, 0.016, 0.004, 0.008]
NONE = [0.01, -0.012, 0.004, -0.003]


def test_p_values_are_holms_of_the_t_tests():
    raw = [float(stats.ttest_1samp(each, 0.0).pvalue) for each in (NONE, FAR, NEAR)]
    assert [each.p_value for each in adjust([NONE, FAR, NEAR])] == pytest.approx(holm(raw))


def test_an_interval_leaves_out_zero_exactly_where_holm_finds_a_difference():
    draws = np.random.default_rng(0)
    decided = []
    for _ in range(200):
        effects = draws.choice([0.0, 0.5, 2.0], size=5)
        for each in adjust([draws.normal(effect, 1.0, 6).tolist() for effect in effects]):
            assert each.decided == (each.interval.low > 0 or each.interval.high < 0)
            decided.append(each.decided)
    assert len(decided) == 1000
    assert 0 < sum(decided) < 1000


def test_one_comparison_needs_no_correction():
    (only,) = adjust([NEAR])
    assert only.interval == mean_interval(NEAR)
    assert only.p_value == pytest.approx(float(stats.ttest_1samp(NEAR, 0.0).pvalue))


def test_more_comparisons_widen_the_interval():
    def width(found):
        return found.interval.high - found.interval.low

    assert width(adjust([NEAR, NONE, NONE])[0]) > width(adjust([NEAR])[0])


def test_an_open_comparison_says_how_many_seeds_would_decide_it_at_its_corrected_level():
    first, _ = adjust([NEAR, NONE])
    assert not first.decided
    assert first.more_seeds == seeds_needed(NEAR, 0.0, level=0.975)
    assert adjust([FAR])[0].more_seeds is None


@pytest.mark.parametrize("differences", [[0.01], [0.01, 0.01, 0.01]])
def test_one_seed_or_no_spread_settles_nothing_and_has_no_bounds(differences):
    (found,) = adjust([differences])
    assert not found.decided
    assert (found.interval.low, found.interval.high, found.more_seeds) == (None, None, None)


def test_nothing_compared_is_nothing():
    assert adjust([]) == []


def test_levels_follow_holms_steps_and_stop_after_the_first_that_is_open():
    """The first open comparison has its own step's level, later ones share it."""
    levels = [each.interval.level for each in adjust([NONE, FAR, NONE, NEAR])]
    far, near, none = 1 - 0.05 / 4, 1 - 0.05 / 3, 1 - 0.05 / 3
    assert not adjust([NONE, FAR, NONE, NEAR])[3].decided
    assert levels == pytest.approx([none, far, none, near])
    assert [each.interval.level for each in adjust([NONE, NEAR])] == pytest.approx([0.975, 0.975])
