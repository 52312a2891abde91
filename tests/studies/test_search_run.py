"""Searching for real: every trial counts once, a kill costs nothing, the test split is read once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from normlab.engine.api import train_folder
from normlab.errors import UserError
from normlab.report import build_report
from normlab.runs import RunFolder
from normlab.studies import Study
from normlab.studies.plan import make_plan
from normlab.studies.search.findings import read_schemes
from normlab.studies.search.runner import run_search
from normlab.studies.search.winners import read_tested

HEAD = """
title: A tiny search
question: Does it run?
task: image
base: {data: digits, n: 1, epochs: 2, limit_train: 64, batch_size: 32, threads: 1}
axes:
  norm: [bn, none]
"""
GRID = HEAD + "search:\n  objective: val/accuracy\n  grid: {lr: [0.01, 0.1]}\n"
SPACE = HEAD + (
    "search:\n  objective: val/accuracy\n  trials: 3\n  startup_trials: 1\n  warmup_epochs: 0\n"
    "  space:\n    lr: {low: 1e-3, high: 1, log: true}\n    nesterov: {choices: [true, false]}\n"
)


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    source = tmp_path_factory.mktemp("grid") / "mine.yaml"
    source.write_text(GRID)
    return source, run_search(source, out=source.parent / "out", workers=2, say=quiet)


def test_every_point_of_a_grid_is_a_normal_run_without_test_metrics(grid: tuple[Path, Study]) -> None:
    study = grid[1]
    assert [cell.state for cell in study.cells] == ["finished"] * 4
    for cell in study.cells:
        metrics = cell.folder.result()["metrics"]
        assert "val/accuracy" in metrics
        assert not [name for name in metrics if name.startswith("test/")]
        assert cell.folder.result()["headline"] == "val/accuracy"


def test_the_test_split_is_read_for_the_best_trial_of_each_scheme_only(grid: tuple[Path, Study]) -> None:
    study = grid[1]
    best = {cell.name for scheme in read_schemes(study) if scheme.best for cell in scheme.best.cells}
    tested = read_tested(study)
    assert set(tested) == best
    assert len(best) == 2
    assert all("test/accuracy" in metrics for metrics in tested.values())
    for cell in study.cells:
        assert (cell.folder.path / "evaluations").exists() is (cell.name in best)


def test_running_it_again_trains_and_measures_nothing(grid: tuple[Path, Study]) -> None:
    source, study = grid
    files = [*study.path.rglob("result.json"), study.path / "tested.json", *study.path.rglob("evaluation.json")]
    before = [path.stat().st_mtime_ns for path in files]
    lines: list[str] = []
    run_search(source, out=study.path, say=lines.append)
    assert [path.stat().st_mtime_ns for path in files] == before
    assert lines == [f"A tiny search: 4 trials, 4 done, in {study.path}"]


def test_the_tuned_study_trains_each_scheme_at_its_best(grid: tuple[Path, Study]) -> None:
    study = grid[1]
    plan = make_plan(study.path / "tuned.yaml", scale="demo")
    assert len(plan.cells) == 2 * 3
    schemes = read_schemes(study)
    assert len(schemes) == 2
    for scheme in schemes:
        assert scheme.best is not None
        configs = [cell.config for cell in plan.cells if cell.values["variant"] == scheme.label]
        assert len(configs) == 3
        assert {config.lr for config in configs} == {scheme.best.settings["lr"]}
        assert all(config.measure_test and config.epochs == 2 for config in configs)


def test_the_report_of_a_search_reads_from_the_folder_alone(grid: tuple[Path, Study], tmp_path: Path) -> None:
    html = build_report([grid[1].path], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>What the search found</h2>" in html
    assert "The test split was read once per scheme" in html
    assert "<h2>Curves of the best trials</h2>" in html


def test_another_objective_in_the_same_folder_is_refused(grid: tuple[Path, Study], tmp_path: Path) -> None:
    other = tmp_path / "mine.yaml"
    other.write_text(GRID.replace("val/accuracy", "val/loss"))
    with pytest.raises(UserError, match="searched with another objective"):
        run_search(other, out=grid[1].path, say=quiet)


def test_a_pruned_run_says_so_and_measures_nothing_more(tmp_path: Path) -> None:
    source = tmp_path / "mine.yaml"
    source.write_text(GRID)
    cell = make_plan(source, scale="demo").cells[0]
    asked: list[int] = []

    def prune(record: Mapping[str, Any]) -> bool:
        asked.append(record["epoch"])
        return True

    folder = RunFolder.create(tmp_path / "run", cell.config, "image")
    result = train_folder(folder, prune=prune)
    assert asked == [1]
    assert (result["state"], result["epochs"], result["metrics"]) == ("pruned", 1, {})
    assert folder.status()["state"] == "pruned"
    assert train_folder(folder) == result  # done: not gone on with


def test_a_resumed_run_is_asked_again_about_its_last_epoch(tmp_path: Path) -> None:
    """A kill after the epoch was saved and before the answer must not save a run from being pruned."""
    source = tmp_path / "mine.yaml"
    source.write_text(GRID)
    cell = make_plan(source, scale="demo").cells[0]
    folder = RunFolder.create(tmp_path / "run", cell.config, "image")

    def stop(record: Mapping[str, Any]) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_folder(folder, prune=stop)
    assert not folder.done
    assert train_folder(folder, prune=lambda record: record["epoch"] == 1)["state"] == "pruned"


def start(source: Path, out: Path) -> subprocess.Popen[bytes]:
    code = (
        "from normlab.studies.search.runner import run_search\n"
        f"if __name__ == '__main__': run_search({str(source)!r}, out={str(out)!r}, workers=1)"
    )
    script = source.parent / "start.py"
    script.write_text(code)
    return subprocess.Popen([sys.executable, str(script)], start_new_session=True, stderr=subprocess.DEVNULL)


def wait_for(out: Path, pattern: str) -> None:
    until = time.monotonic() + 300
    while not list(out.glob(pattern)):
        assert time.monotonic() < until, f"no {pattern}"
        time.sleep(0.05)


@pytest.mark.slow
def test_a_space_killed_without_warning_goes_on_and_counts_every_trial_once(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    source, out = tmp_path / "mine.yaml", tmp_path / "out"
    source.write_text(SPACE)
    process = start(source, out)
    wait_for(out, "cells/norm-none_trial-0_seed-0/checkpoints/last.safetensors")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    half = RunFolder(out / "cells" / "norm-none_trial-0_seed-0")
    settings = {name: half.config()[name] for name in ("lr", "nesterov")}
    done = {path.parent.name: path.stat().st_mtime_ns for path in out.rglob("result.json")}

    lock = out / "optuna.journal.lock"
    if not lock.is_symlink():  # the kill may have left one itself
        lock.symlink_to("left by the kill")
    study = run_search(source, out=out, workers=2, say=quiet)
    assert {name: half.config()[name] for name in settings} == settings
    assert {n: (out / "cells" / n / "result.json").stat().st_mtime_ns for n in done} == done
    backend = optuna.storages.journal.JournalFileBackend(str(out / "optuna.journal"))
    storage = optuna.storages.JournalStorage(backend)
    schemes = read_schemes(study)
    assert len(schemes) == 2
    for scheme in schemes:
        assert len(scheme.trials) == 3
        assert all(trial.state.has_result for trial in scheme.trials)
        reported = optuna.load_study(study_name=scheme.label, storage=storage).trials
        assert sorted(trial.user_attrs["trial"] for trial in reported) == [0, 1, 2]
        scores = {int(trial.name): trial.score for trial in scheme.trials if trial.score is not None}
        assert scores == {t.user_attrs["trial"]: t.value for t in reported if t.state.name == "COMPLETE"}
    first, second = (scheme.trials[0].settings for scheme in schemes)
    assert first == second  # every scheme starts from the same random points
    assert len(read_tested(study)) == 2
    assert json.loads((out / "study.json").read_text())["search"]["trials"] == 3

    (out / "optuna.journal").unlink()  # a lost journal is written again from the folders
    again = run_search(source, out=out, workers=1, say=quiet)
    assert {n: (out / "cells" / n / "result.json").stat().st_mtime_ns for n in done} == done
    assert [t.settings for s in read_schemes(again) for t in s.trials] == [
        t.settings for s in read_schemes(study) for t in s.trials
    ]


def test_trials_behind_the_median_are_pruned(tmp_path: Path) -> None:
    """The rule alone, without training: the fourth trial is worse than the median of three."""
    pytest.importorskip("optuna")
    from normlab.studies.search.proposals import Proposals

    source = tmp_path / "mine.yaml"
    source.write_text(
        SPACE.replace("trials: 3", "trials: 4", 1)
        .replace("startup_trials: 1", "startup_trials: 3")
        .replace("up_epochs: 0", "up_epochs: 1")
    )
    plan = make_plan(source)
    (tmp_path / "out").mkdir()
    proposals = Proposals.begin(plan, tmp_path / "out")
    study = proposals._study("none")
    for number, value in enumerate((0.5, 0.6, 0.7)):
        trial = proposals._claim(study, number, tmp_path / "nowhere", type(plan.cells[0].config))
        for epoch in (1, 2):
            assert not proposals._falls_behind(trial, {"epoch": epoch, "val/accuracy": value})
        study.tell(trial, value)
    last = proposals._claim(study, 3, tmp_path / "nowhere", type(plan.cells[0].config))
    assert not proposals._falls_behind(last, {"epoch": 1, "val/accuracy": 0.1})  # warm-up
    assert proposals._falls_behind(last, {"epoch": 2, "val/accuracy": 0.55})


def test_the_shipped_search_gives_all_seven_schemes_the_same_rates() -> None:
    for scale in ("smoke", "demo", "hour", "full"):
        plan = make_plan("lr_grid", scale=scale)
        rates = {cell.values["norm"]: set[float]() for cell in plan.cells}
        for cell in plan.cells:
            rates[cell.values["norm"]].add(cell.values["lr"])
        assert len(rates) == 7
        assert len(set(map(frozenset, rates.values()))) == 1
    assert yaml.safe_dump(plan.axes)
