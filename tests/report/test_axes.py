"""Axes of figures: a tick with a label is always in sight."""

from __future__ import annotations

import pytest

from normlab.report.figures.axes import log_axis


@pytest.mark.parametrize("low", [1e-7, 0.021, 0.9, 1.01, 5.5, 640.0])
@pytest.mark.parametrize("factor", [3.0, 4.7, 9.9, 12.0, 99.0, 150.0, 1e5, 1e12])
def test_a_logarithmic_axis_has_labelled_ticks_within_its_values(low: float, factor: float) -> None:
    axis = log_axis([low, low * factor])
    assert axis["type"] == "log"
    shown = [tick for tick in axis["tickvals"] if low <= tick <= low * factor]
    assert len(shown) >= 2
    assert len(shown) <= 10
    assert [float(text) for text in axis["ticktext"]] == axis["tickvals"]


@pytest.mark.parametrize("values", [[], [1.1, 1.9], [2.0, 5.9], [0.0, -1.0], [3.0]])
def test_values_within_a_factor_of_three_have_a_linear_axis(values: list[float]) -> None:
    assert log_axis(values) == {"type": "linear"}


def test_zero_and_infinity_do_not_set_the_ticks() -> None:
    assert log_axis([0.0, 1.0, 20.0, float("inf"), float("nan")]) == log_axis([1.0, 20.0])
