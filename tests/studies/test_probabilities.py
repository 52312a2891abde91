"""Tails and quantiles are those of `scipy.stats`, and reading a study does not import that."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from normlab.studies.statistics.probabilities import (
    normal_below,
    normal_density,
    normal_quantile,
    t_above,
    t_below,
    t_quantile,
)


@pytest.mark.parametrize("degrees", [1, 2, 3.7, 29, 1e6])
def test_student_s_t_is_scipy_s_to_the_last_digit(degrees: float) -> None:
    for x in (-40.0, -2.5, 0.0, 1e-9, 0.3, 12.0, 1e8):
        assert t_above(x, degrees) == stats.t.sf(x, degrees)
        assert t_below(x, degrees) == stats.t.cdf(x, degrees)
    for share in (1e-12, 0.025, 0.5, 0.975, 1 - 1e-9):
        assert t_quantile(share, degrees) == stats.t.ppf(share, degrees)


def test_the_normal_distribution_is_scipy_s_to_the_last_digit() -> None:
    x = np.array([-30.0, -1.0, 0.0, 0.5, 9.0])
    assert np.array_equal(normal_below(x), stats.norm.cdf(x))
    assert np.array_equal(normal_below(-x), stats.norm.sf(x))
    assert np.array_equal(normal_density(x), stats.norm.pdf(x))
    for share in (1e-12, 0.025, 0.5, 0.975):
        assert normal_quantile(share) == stats.norm.ppf(share)
        assert -normal_quantile(share) == stats.norm.isf(share)


def test_what_is_no_number_stays_none() -> None:
    assert math.isnan(t_above(float("nan"), 3))
    assert math.isnan(t_quantile(0.5, float("nan")))


def test_means_and_paired_comparisons_do_not_import_scipy_stats() -> None:
    program = (
        "import sys\n"
        "from normlab.studies import claims, tables\n"
        "from normlab.studies.statistics import mean_interval\n"
        "from normlab.studies.statistics.paired import compare_paired\n"
        "mean_interval([1.0, 2.0, 4.0]); compare_paired([1.0, 2.0, 4.0], [0.5, 2.5, 1.0])\n"
        "print([name for name in ('scipy.stats', 'scipy.optimize', 'torch') if name in sys.modules])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.stdout == "[]\n", ended.stderr
