"""All schemes against a reference: corrected for their number, and no winner without evidence."""

from __future__ import annotations

import json

import pytest
from synthetic_study import DIVERGED, WAITING, make_study

from normlab.errors import UserError
from normlab.studies.comparisons import comparisons
from normlab.studies.pairs import pair_up
from normlab.studies.statistics import compare_paired, holm
from normlab.studies.study import Study

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
    assert (only.winner, only.diverged, only.reference_diverged) == ("reference", 1, 0)
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


def test_a_sentence_names_what_keeps_a_winner_away(tmp_path):
    (only,) = comparisons(make_study(tmp_path / "1", {"norm": ["batch", "layer"]}, 1, accuracy), "test/accuracy")
    assert only.sentence.endswith("paired by 1 seed; one seed shows no spread: run at least three")
    (only,) = comparisons(make_study(tmp_path / "2", {"norm": ["batch", "instance"]}, 4, accuracy), "test/accuracy")
    assert only.winner is None
    assert f"; about {only.adjusted.more_seeds} more would decide it" in only.sentence
    lost = make_study(tmp_path / "3", {"norm": ["batch", "layer"]}, 2, lambda values, seed: LOST[values["norm"]])
    (only,) = comparisons(lost, "test/accuracy")
    assert only.sentence == "batch is better than layer: layer diverged in 2 of 2 seeds"


LOST = {"batch": 0.9, "layer": DIVERGED}


def test_seeds_that_only_one_side_has_are_no_pairs(tmp_path):
    study = make_study(tmp_path / "s", {"norm": ["batch", "group"]}, 4, accuracy)
    plan = json.loads((study.path / "study.json").read_text())
    plan["cells"] = [cell for cell in plan["cells"] if cell["name"] not in ("norm-group_seed-3", "norm-batch_seed-0")]
    (study.path / "study.json").write_text(json.dumps(plan))
    pair = pair_up(Study.open(study.path), {"norm": "group"}, {"norm": "batch"}, "test/accuracy")
    assert pair.planned == 2
    assert pair.a == [accuracy({"norm": "group"}, seed) for seed in (1, 2)]
    assert pair.b == [accuracy({"norm": "batch"}, seed) for seed in (1, 2)]


def test_a_cell_that_waits_is_neither_a_pair_nor_lost(tmp_path):
    def outcome(values, seed):
        return {("batch", 0): WAITING, ("group", 1): DIVERGED, ("batch", 1): WAITING}.get((values["norm"], seed), 0.5)

    pair = pair_up(make_study(tmp_path, {"norm": ["batch", "group"]}, 3, outcome), *PAIR, "test/accuracy")
    assert (len(pair.a), pair.diverged_a, pair.diverged_b, pair.diverged_both, pair.planned) == (1, 0, 0, 0, 3)


PAIR = ({"norm": "batch"}, {"norm": "group"})
