"""All schemes against a reference: corrected for their number, and no winner without evidence."""

from __future__ import annotations

import pytest
from synthetic_study import DIVERGED, WAITING, make_study

from normlab.errors import UserError
from normlab.studies.comparisons import comparisons
from normlab.studies.statistics import compare_paired, holm

OFFSETS = {
    "batch": [0.0, 0.0, 0.0, 0.0],
    "group": [-0.011, -0.010, -0.009, -0.010],  # behind beyond doubt
    "layer": [-0.002, 0.003, -0.001, 0.001],  # alike
    "instance": [0.0, -0.0015, -0.001, -0.0012],  # behind a little
}
NOISE = [0.004, -0.003, 0.001, -0.002]


def accuracy(values, seed):
    return 0.9 + NOISE[seed] + OFFSETS[values["norm"]][seed]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("compared") / "s", {"norm": list(OFFSETS)}, 4, accuracy)


def test_p_values_are_corrected_for_the_number_of_schemes(study):
    found = comparisons(study, "test/accuracy")
    base = [0.9 + noise for noise in NOISE]
    raw = [
        compare_paired([b + o for b, o in zip(base, OFFSETS[norm], strict=True)], base).p_t
        for norm in list(OFFSETS)[1:]
    ]
    assert [each.adjusted_p for each in found] == pytest.approx(holm(raw))


def test_only_what_is_told_apart_has_a_winner(study):
    group, layer, instance = comparisons(study, "test/accuracy")
    assert group.winner == "reference"
    assert group.sentence.startswith("batch is better than group")
    assert layer.winner is None
    assert "overlap, no winner" in layer.sentence
    assert instance.winner is None


def test_any_value_may_be_the_reference(study):
    found = comparisons(study, "test/accuracy", reference="group")
    assert [each.values["norm"] for each in found] == ["batch", "layer", "instance"]
    assert found[0].winner == "values"


def test_a_lower_time_wins(tmp_path):
    def outcome(values, seed):
        return {"test/loss": 1.0 + 0.1 * seed + (values["norm"] == "group") * (0.5 + 0.01 * seed)}

    (only,) = comparisons(make_study(tmp_path, {"norm": ["batch", "group"]}, 4, outcome), "test/loss")
    assert only.winner == "reference"


def test_a_diverged_run_loses_to_one_that_finished(tmp_path):
    def outcome(values, seed):
        return DIVERGED if values["norm"] == "layer" and seed == 1 else accuracy(values, seed)

    (only,) = comparisons(make_study(tmp_path, {"norm": ["batch", "layer"]}, 4, outcome), "test/accuracy")
    assert (only.winner, only.lost, only.reference_lost) == ("reference", 1, 0)
    assert "layer diverged in 1 of 4 seeds" in only.sentence


def test_other_axes_stay_equal_on_both_sides(tmp_path):
    axes = {"batch_size": [8, 128], "norm": ["batch", "group"]}
    found = comparisons(make_study(tmp_path, axes, 2, accuracy), "test/accuracy")
    assert [(each.values["batch_size"], each.reference["batch_size"]) for each in found] == [
        (8, 8),
        (128, 128),
    ]
    over_sizes = comparisons(make_study(tmp_path / "2", axes, 2, accuracy), "test/accuracy", axis="batch_size")
    assert [each.reference for each in over_sizes] == [{"norm": norm, "batch_size": 8} for norm in ("batch", "group")]


def test_nothing_finished_has_no_winner(tmp_path):
    study = make_study(tmp_path, {"norm": ["batch", "group"]}, 2, lambda values, seed: WAITING)
    (only,) = comparisons(study, "test/accuracy")
    assert (only.comparison, only.adjusted_p, only.winner) == (None, None, None)
    assert "no seed has finished" in only.sentence


def test_an_unknown_axis_or_reference_is_refused(study):
    with pytest.raises(UserError, match="did you mean 'norm'"):
        comparisons(study, "test/accuracy", axis="norms")
    with pytest.raises(UserError, match="did you mean 'group'"):
        comparisons(study, "test/accuracy", reference="grop")
