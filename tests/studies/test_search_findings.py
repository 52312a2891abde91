"""Reading a search: who is best, what a half trained trial counts, importance, edges. Numbers from formulas."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_study import DIVERGED, FAILED, WAITING, make_study

from normlab.studies.search.findings import Trial, at_edge, read_schemes, search_of, within
from normlab.studies.search.importance import importance
from normlab.studies.search.text import search_text, search_values
from normlab.studies.search_settings import Range, Search
from normlab.studies.study import Study

GRID = Search(objective="val/accuracy", grid={"lr": [0.01, 0.1, 1.0]})


def searched(path: Path, outcome: Any, search: Search = GRID, seeds: int = 1) -> Study:
    axes = {"norm": ["batch", "none"], **search.axes()}
    study = make_study(path, axes, seeds, outcome)
    return Study(**{**study.__dict__, "search": search.model_dump(mode="json")})


def accuracy(value: float) -> dict[str, float]:
    return {"val/accuracy": value}


def test_the_best_trial_has_the_best_mean_over_its_seeds(tmp_path: Path) -> None:
    """A lucky seed at 0.01 does not beat two good ones at 0.1."""
    scores = {0.01: (0.99, 0.1), 0.1: (0.8, 0.8), 1.0: (0.7, 0.7)}
    study = searched(tmp_path, lambda values, seed: accuracy(scores[values["lr"]][seed]), seeds=2)
    schemes = read_schemes(study)
    assert schemes
    for scheme in schemes:
        assert scheme.best is not None
        assert scheme.best.settings == {"lr": 0.1}
        assert scheme.best.score == pytest.approx(0.8)


@pytest.mark.parametrize("end", [DIVERGED, FAILED, WAITING])
def test_a_trial_with_a_seed_that_did_not_finish_has_no_score(tmp_path: Path, end: str) -> None:
    def outcome(values: dict[str, Any], seed: int) -> Any:
        return end if (values["lr"], seed) == (0.1, 1) else accuracy(0.9 if values["lr"] == 0.1 else 0.5)

    batch = read_schemes(searched(tmp_path, outcome, seeds=2))[0]
    assert [trial.score for trial in batch.trials] == [0.5, None, 0.5]
    assert batch.trials[1].state == end
    assert batch.over is (end != WAITING)


def test_a_loss_is_best_when_smallest(tmp_path: Path) -> None:
    search = Search(objective="val/loss", grid=GRID.grid)
    study = searched(tmp_path, lambda values, seed: {"val/loss": values["lr"]}, search)
    best = read_schemes(study)[0].best
    assert best is not None
    assert best.settings == {"lr": 0.01}
    assert within(read_schemes(study)[0].trials, best, 0.2, "val/loss") == 2


def test_the_best_value_at_the_end_of_the_list_is_at_the_edge(tmp_path: Path) -> None:
    study = searched(tmp_path, lambda values, seed: accuracy(values["lr"] / 2 if values["norm"] == "none" else 0.1))
    batch, none = read_schemes(study)
    assert none.best is not None
    assert at_edge(search_of(study), none.best) == ["lr"]
    assert batch.best is not None
    assert batch.best.settings == {"lr": 0.01}  # the earliest of equals
    assert "lr 1 (lr at the edge)" in search_text(study)


def test_edges_of_a_logarithmic_range_lie_on_its_scale() -> None:
    search = Search(objective="val/accuracy", trials=1, space={"lr": Range(low=1e-4, high=1.0, log=True)})
    trial = Trial("0", {"lr": 0.02}, [], "finished", 0.5, None, 1, 1.0)
    assert at_edge(search, trial) == []
    assert at_edge(search, Trial("0", {"lr": 1.1e-4}, [], "finished", 0.5, None, 1, 1.0)) == ["lr"]


def trials_of(points: list[dict[str, Any]], scores: list[float]) -> list[Trial]:
    return [Trial("", p, [], "finished", s, None, 1, 1.0) for p, s in zip(points, scores, strict=True)]


def test_importance_in_a_grid_is_the_main_effects_share_of_the_variance() -> None:
    """score = 3a + b over a, b in {0, 1}: variances 9/4 and 1/4."""
    search = Search(objective="val/accuracy", grid={"a": [0, 1], "b": [0, 1]})
    points = [{"a": a, "b": b} for a, b in itertools.product([0, 1], [0, 1])]
    shares = importance(search, trials_of(points, [3.0 * p["a"] + p["b"] for p in points]))
    assert shares == pytest.approx({"a": 0.9, "b": 0.1})


def test_importance_of_pure_interaction_is_none_of_either() -> None:
    search = Search(objective="val/accuracy", grid={"a": [0, 1], "b": [0, 1]})
    points = [{"a": a, "b": b} for a, b in itertools.product([0, 1], [0, 1])]
    shares = importance(search, trials_of(points, [float(p["a"] != p["b"]) for p in points]))
    assert shares == pytest.approx({"a": 0.0, "b": 0.0})


def test_importance_in_a_space_finds_the_setting_that_matters() -> None:
    ranges = {"lr": Range(low=1e-3, high=1.0, log=True), "wd": Range(low=0.0, high=1.0), "c": Range(choices=["x", "y"])}
    search = Search(objective="val/accuracy", trials=60, space=ranges)
    rng = np.random.default_rng(0)
    points = [
        {"lr": float(10 ** rng.uniform(-3, 0)), "wd": float(rng.random()), "c": str(rng.choice(["x", "y"]))}
        for _ in range(60)
    ]
    shares = importance(search, trials_of(points, [-abs(math.log10(p["lr"]) + 1) + 0.1 * p["wd"] for p in points]))
    assert shares is not None
    assert shares["lr"] > 0.8
    assert shares["wd"] < 0.1
    assert shares["c"] < 0.1


def test_importance_of_few_or_equal_scores_is_not_guessed() -> None:
    space = Search(objective="val/accuracy", trials=3, space={"lr": Range(low=0.0, high=1.0)})
    points = [{"lr": 0.1}, {"lr": 0.5}, {"lr": 0.9}]
    assert importance(space, trials_of(points, [0.1, 0.2, 0.3])) is None
    assert importance(GRID, trials_of([{"lr": lr} for lr in GRID.grid["lr"]], [0.5, 0.5, 0.5])) is None


def test_values_for_json_count_every_end(tmp_path: Path) -> None:
    ends = {0.01: accuracy(0.5), 0.1: DIVERGED, 1.0: FAILED}
    row = search_values(searched(tmp_path, lambda values, seed: ends[values["lr"]]))[0]
    assert (row["trials"], row["finished"], row["diverged"], row["failed"], row["pruned"]) == (3, 1, 1, 1, 0)
    assert row["best"] == {"lr": 0.01}
    assert row["test"] == {}
