"""How often the test split is evaluated, counted in every process of real commands: once, when training is over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

RECORDER = Path(__file__).with_name("recorded_reads")
SEARCH = """
title: A search
question: How often is the test split read?
task: image
base: {data: digits, n: 1, epochs: 2, limit_train: 64, batch_size: 32, threads: 1, distributions: "off"}
axes: {norm: [bn, none]}
search: {objective: val/accuracy, grid: {lr: [0.01, 0.1]}}
"""


def events(command: list[str], folder: Path) -> list[dict[str, Any]]:
    """Run a command and return what its processes noted, in order."""
    log = folder / "reads.jsonl"
    path = os.pathsep.join([str(RECORDER), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "NORMLAB_READS": str(log), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def splits(noted: list[dict[str, Any]]) -> list[str]:
    return [event["split"] if event["event"] == "evaluated" else "epoch" for event in noted]


@pytest.mark.slow
def test_every_task_evaluates_the_test_split_once_after_training(tmp_path: Path) -> None:
    program = (
        "import normlab\n"
        "tasks = {'image': {'limit_train': 64, 'distributions': 'all'}, 'ner': {}, 'text2sql': {}}\n"
        "for task, settings in tasks.items():\n"
        "    normlab.train(task, preset='smoke', out=task, epochs=2, threads=1, **settings)\n"
    )
    noted = events([sys.executable, "-c", program], tmp_path)
    for task in ("image", "ner", "text2sql"):
        of_task = splits([event for event in noted if event.get("task") == task or event.get("run") == task])
        without_training = [name for name in of_task if name != "train"]
        assert without_training == ["val", "epoch"] * 2 + ["val", "test"], task


@pytest.mark.slow
def test_a_search_evaluates_the_test_split_once_for_the_winner_of_each_scheme_when_all_trials_are_over(
    tmp_path: Path,
) -> None:
    (tmp_path / "search.yaml").write_text(SEARCH, encoding="utf-8")
    command = [sys.executable, "-m", "normlab.cli", "tune", "search.yaml", "--scale", "demo", "--workers", "1"]
    found = splits(events([*command, "--out", "out"], tmp_path))
    trials, after = found[:-2], found[-2:]
    assert trials.count("epoch") == 4 * 2  # four trials of two epochs
    assert "test" not in trials
    assert after == ["test", "test"]
