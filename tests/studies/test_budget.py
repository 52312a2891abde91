"""Estimating a study, and training only what fits into a budget of time."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from normlab.cli import main
from normlab.cli.study_costs import seconds_of
from normlab.engine.probe import probe_task
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.studies import costs, run_study
from normlab.studies.budget import estimate_plan
from normlab.studies.costs import Cost, cells_within, duration_text, expected_epochs, wall_seconds
from normlab.studies.plan import Cell, in_pairs, make_plan
from normlab.tasks import TASKS, task_settings
from normlab.train_config import TrainConfig

TINY = """
title: A tiny comparison
question: Does it fit?
task: image
base: {data: digits, n: 1, epochs: 2, limit_train: 64, batch_size: 32}
axes: {norm: [batch, none]}
scales: {smoke: {seeds: 2}}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def known_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every variant a cost of 10 s before its epochs, 20 s an epoch, and nothing after."""

    def probe(cells: Sequence[Cell], task: str, **how: Any) -> dict[str, Cost]:
        return {costs.variant_key(cell.values): Cost(10.0, 20.0, 0.0, cell.config.epochs) for cell in cells}

    monkeypatch.setattr(costs, "probe_costs", probe)


@pytest.mark.parametrize(
    ("seconds", "workers", "wall"), [([3, 2, 2], 2, 4), ([3, 2, 2], 1, 7), ([3, 2, 2], 5, 3), ([], 2, 0)]
)
def test_a_cell_begins_when_a_worker_is_free(seconds: list[float], workers: int, wall: float) -> None:
    assert wall_seconds(seconds, workers) == wall


@pytest.mark.parametrize(
    ("budget", "names"),
    [
        (9, []),
        (10, ["norm-batch_seed-0"]),
        (20, ["norm-batch_seed-0", "norm-none_seed-0"]),
        (30, ["norm-batch_seed-0", "norm-none_seed-0", "norm-batch_seed-1"]),
        (40, ["norm-batch_seed-0", "norm-none_seed-0", "norm-batch_seed-1", "norm-none_seed-1"]),
    ],
)
def test_whole_seeds_come_first(source: Path, budget: float, names: list[str]) -> None:
    cells = in_pairs(make_plan(source, scale="smoke").cells)
    assert [cell.name for cell in cells_within(cells, lambda cell: 10.0, workers=1, budget=budget)] == names


def test_a_seed_that_does_not_fit_lends_the_cells_that_do(source: Path) -> None:
    cells = in_pairs(make_plan(source, scale="smoke").cells)
    seconds = {"batch": 100.0, "none": 1.0}
    fitting = cells_within(cells, lambda cell: seconds[cell.values["norm"]], workers=1, budget=50)
    assert [cell.name for cell in fitting] == ["norm-none_seed-0"]


@pytest.mark.usefixtures("known_costs")
def test_an_estimate_counts_what_is_left(source: Path, tmp_path: Path) -> None:
    plan = make_plan(source, scale="smoke")
    begun = RunFolder.create(tmp_path / "s" / "cells" / plan.cells[0].name, plan.cells[0].config, "image")
    with begun:
        begun.append_metrics({"epoch": 1})
    estimate = estimate_plan(plan, tmp_path / "s", workers=1)
    assert sorted(estimate.seconds.values()) == [30, 50, 50, 50]
    assert estimate.wall(estimate.cells) == 180


def test_finished_cells_tell_when_training_will_stop(source: Path) -> None:
    cells = make_plan(source, scale="smoke", seeds=3, patience=1).cells
    needed = {"norm-batch_seed-0": 4, "norm-batch_seed-1": 7, "norm-none_seed-0": 13}
    batch, none = (costs.variant_key({"norm": norm}) for norm in ("batch", "none"))
    assert expected_epochs(cells, needed) == {batch: round(11 / 2), none: 13}
    assert expected_epochs(cells, {"norm-batch_seed-0": 4}) == {batch: 4, none: 4}  # nothing better is known
    assert expected_epochs(cells, {}) == {}
    assert expected_epochs(make_plan(source, scale="smoke").cells, needed) == {}  # without patience nothing stops early


@pytest.mark.parametrize(("done", "seconds"), [(0, 1 + 2 + 5 * 10), (3, 1 + 2 + 2 * 10), (6, 1 + 2 + 10), (9, 1 + 2)])
def test_a_cell_past_its_expected_end_needs_one_more_epoch(done: int, seconds: float) -> None:
    assert Cost(1.0, 10.0, 2.0, epochs=9, expected=5).seconds(done) == seconds


@pytest.mark.usefixtures("known_costs")
def test_an_estimate_goes_by_what_finished_cells_needed(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "s"
    plan = make_plan(source, scale="smoke", seeds=1, epochs=60, patience=1)
    estimate = estimate_plan(plan, out, workers=1)
    assert "a cell (60 epochs of 20 s)  x 1" in estimate.lines()[0]
    assert estimate.lines()[-1].endswith("; early stopping may need less)")
    with RunFolder.create(out / "cells" / plan.cells[0].name, plan.cells[0].config, "image") as run:
        for epoch in (1, 2, 3):
            run.append_metrics({"epoch": epoch})
        run.finish({"state": "finished", "headline": "test/accuracy", "metrics": {"test/accuracy": 0.9}})
    estimate = estimate_plan(plan, out, workers=1)
    assert estimate.seconds == {plan.cells[1].name: 10 + 3 * 20}
    assert "a cell (about 3 of at most 60 epochs of 20 s)  x 1" in estimate.lines()[0]
    assert estimate.lines()[-1].endswith("; epochs as the finished cells needed)")


@pytest.mark.usefixtures("known_costs")
def test_a_budget_trains_what_fits_and_the_next_run_the_rest(source: Path, tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "study"
    study = run_study(source, scale="smoke", out=out, workers=1, budget=101.0, say=said.append)
    assert [cell.name for cell in study.cells if cell.state == "finished"] == ["norm-batch_seed-0", "norm-none_seed-0"]
    assert "in 2 min: 2 of 4 cells (seed 0 whole), done after 2 min" in "\n".join(said)
    study = run_study(source, scale="smoke", out=out, workers=1, say=said.append)
    assert [cell.state for cell in study.cells] == ["finished"] * 4


@pytest.mark.usefixtures("known_costs")
def test_a_budget_for_no_cell_is_refused_in_one_line(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no cell fits; the shortest, norm-batch_seed-0, takes 50 s: give more time"):
        run_study(source, scale="smoke", out=tmp_path / "s", workers=1, budget=5.0, say=lambda line: None)


def test_a_budget_is_for_this_machine(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="budget: a cluster's speed is not known here"):
        run_study(source, scale="smoke", out=tmp_path / "s", engine="ray", budget=5.0)


@pytest.mark.usefixtures("known_costs")
def test_the_plan_shows_cost_and_fit(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["study", "plan", str(source), "--scale", "smoke", "--workers", "1"]
    assert main([*words, "--budget", "2m"]) == 0
    text = capsys.readouterr().out
    assert "50 s a cell (2 epochs of 20 s)  x 2" in text
    assert "to train: 4 cells, 0.06 hours of cells, 3 min with 1 at a time" in text
    assert "in 2 min: 2 of 4 cells (seed 0 whole)" in text
    assert main([*words, "--budget", "2m", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["seconds"], row["fits"]) for row in rows] == [(50, True), (50, False), (50, True), (50, False)]


@pytest.mark.parametrize(
    ("text", "seconds"), [("3h", 10800), ("90m", 5400), ("1h30m", 5400), ("1.5h", 5400), ("45 s", 45)]
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "3", "h", "3x", "-3h", "3h?", "0m", "1h 2"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write 3h, 90m or 1h30m"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.34, "2.3 s"), (40, "40 s"), (720, "12 min"), (11100, "3 h 05 min"), (5399, "1 h 30 min")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_probe_times_every_part_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    changes = {"data": "digits", "limit_train": 64, "batch_size": 32, "n": 1}
    config: TrainConfig = task_settings("image").make("smoke", changes, "test")
    parts = probe_task(TASKS.get("image"), config, seconds=0.0)
    assert set(parts) == {"setup", "epoch", "final"}
    assert all(seconds > 0 for seconds in parts.values())
    assert list(tmp_path.glob("normlab-*")) == []
