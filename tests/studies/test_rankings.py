"""Ranks over seeds and models over examples, from files as training leaves them."""

from __future__ import annotations

import pytest
from synthetic_study import DIVERGED, WAITING, make_study, write_cell

from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.studies.rankings import compare_predictions, rank_combinations
from normlab.studies.statistics import mcnemar

ENDS = {"batch": [0.9, 0.8, 0.7, WAITING], "group": [0.8, 0.9, DIVERGED, 0.9], "none": [0.1, DIVERGED, 0.2, 0.1]}


def test_ranks_are_within_a_seed_and_diverged_runs_come_last(tmp_path):
    study = make_study(tmp_path, {"norm": list(ENDS)}, 4, lambda values, seed: ENDS[values["norm"]][seed])
    combinations, ranking = rank_combinations(study, "test/accuracy")
    assert [values["norm"] for values in combinations] == ["batch", "group", "none"]
    assert ranking.mean_ranks == pytest.approx([4 / 3, 2.0, 8 / 3])  # ranks 1 2 1, 2 1 3, 3 3 2; one seed waits
    assert ranking.n == 3


def test_two_schemes_are_not_ranked(tmp_path):
    assert (
        rank_combinations(make_study(tmp_path, {"norm": ["batch", "group"]}, 3, lambda v, s: 0.5), "test/accuracy")
        is None
    )


def run_with(path, rows):
    write_cell(path, 0, 0.5, ())
    (path / "predictions").mkdir()
    (path / "predictions" / "test.csv").write_text("label,prediction,probability\n" + "".join(rows))
    return RunFolder.open(path)


def test_predictions_are_compared_example_by_example(tmp_path):
    labels, first, second = [0, 1, 2, 1, 0, 2], [0, 1, 2, 1, 0, 0], [0, 0, 0, 0, 0, 2]
    runs = [
        run_with(tmp_path / name, [f"{a},{b},0.5\n" for a, b in zip(labels, predicted, strict=True)])
        for name, predicted in (("a", first), ("b", second))
    ]
    assert compare_predictions(*runs) == mcnemar(labels, first, second)
    assert compare_predictions(*runs).only_a == 3


def test_other_examples_are_refused(tmp_path):
    a, b = run_with(tmp_path / "a", ["0,1,0.5\n"]), run_with(tmp_path / "b", ["1,1,0.5\n"])
    with pytest.raises(UserError, match="same data"):
        compare_predictions(a, b)


def test_missing_or_damaged_predictions_are_named(tmp_path):
    good, bad = run_with(tmp_path / "a", ["0,1,0.5\n"]), run_with(tmp_path / "b", ["0,,0.5\n"])
    with pytest.raises(UserError, match=r"test\.csv: expected columns"):
        compare_predictions(good, bad)
    with pytest.raises(UserError, match=r"val\.csv: missing"):
        compare_predictions(good, bad, "val")


def test_two_complete_seeds_are_ranked_and_one_is_not(tmp_path):
    def outcome(values, seed):
        return WAITING if seed and values["norm"] == "none" else ENDS[values["norm"]][seed]

    axes = {"norm": list(ENDS)}
    two = make_study(tmp_path / "2", axes, 2, lambda values, seed: ENDS[values["norm"]][seed])
    assert rank_combinations(two, "test/accuracy")[1].n == 2
    assert rank_combinations(make_study(tmp_path / "1", axes, 2, outcome), "test/accuracy") is None


def test_the_lower_loss_ranks_first_and_a_diverged_run_last(tmp_path):
    losses = {"batch": 0.3, "group": 0.2, "none": DIVERGED}

    def outcome(values, seed):
        loss = losses[values["norm"]]
        return loss if loss == DIVERGED else {"test/loss": loss}

    study = make_study(tmp_path, {"norm": list(losses)}, 2, outcome)
    assert rank_combinations(study, "test/loss")[1].mean_ranks == [2.0, 1.0, 3.0]
