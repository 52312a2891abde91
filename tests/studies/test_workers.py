"""A worker ends with its study, whichever process a signal reaches, and its cell says that it was interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from normlab.runs import RunFolder

STUDY = """
title: Long enough to be stopped
question: none
task: image
base: {n: 1, epochs: 500, limit_train: 64, validation: 32, distributions: "off", monitor: val/accuracy}
axes: {norm: [batch, none]}
seeds: 1
scales: {smoke: {preset: smoke}}
"""


def wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("engine", "number"), [("local", signal.SIGTERM), ("local", signal.SIGKILL), ("ray", signal.SIGTERM)]
)
def test_a_study_that_is_killed_leaves_no_cell_training(tmp_path: Path, engine: str, number: signal.Signals) -> None:
    """The signal reaches the study's own process alone, as that of a container or a batch system may."""
    if engine == "ray":
        pytest.importorskip("ray")
    source, out = tmp_path / "long.yaml", tmp_path / "out"
    source.write_text(STUDY)
    command = [sys.executable, "-m", "normlab.cli", "study", "run", str(source), "--scale", "smoke", "--workers", "2"]
    with subprocess.Popen([*command, "--engine", engine, "--out", str(out)], stderr=subprocess.PIPE, text=True) as run:
        cells = [out / "cells" / f"norm-{norm}_seed-0" for norm in ("batch", "none")]
        wait_until(lambda: all(len(metrics_of(cell)) >= 1 for cell in cells))
        run.send_signal(number)
        _, told = run.communicate(timeout=120)
    wait_until(lambda: all(RunFolder(cell).status()["state"] == "interrupted" for cell in cells), 60)
    assert not any((cell / "result.json").exists() for cell in cells)
    if number == signal.SIGTERM:
        assert run.returncode == 1
        assert told.splitlines()[-1].endswith("finished epochs are saved: go on with the same command")
        assert "Traceback" not in told


def test_a_run_that_is_terminated_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "normlab.cli", "train", "image", "--preset", "smoke", "--epochs", "500"]
    command += ["--limit-train", "64", "--validation", "32"]
    with subprocess.Popen([*command, "--out", str(tmp_path / "run")], stderr=subprocess.PIPE, text=True) as run:
        wait_until(lambda: bool(metrics_of(tmp_path / "run")))
        run.terminate()
        _, told = run.communicate(timeout=120)
    assert RunFolder(tmp_path / "run").status()["state"] == "interrupted"
    assert "normlab resume" in told.splitlines()[-1]
    assert "Traceback" not in told


def metrics_of(cell: Path) -> list[dict[str, float]]:
    return RunFolder(cell).metrics() if (cell / "metrics.jsonl").exists() else []
