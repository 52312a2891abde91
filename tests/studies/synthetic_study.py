"""Studies made of written-down numbers: run folders as training leaves them, without training."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from normlab.runs import RunFolder
from normlab.studies.study import Study
from normlab.tasks.image.config import ImageConfig
from normlab.train_config import TrainConfig

DIVERGED = "diverged"
WAITING = "waiting"
FAILED = "failed"

# (axis values, seed) -> accuracy, a dict of metrics, or one of the words above
Outcome = Callable[[dict[str, Any], int], Any]


def make_study(
    path: Path,
    axes: Mapping[str, Sequence[Any]],
    seeds: int,
    outcome: Outcome,
    *,
    claims: Sequence[Mapping[str, Any]] = (),
    epochs: Callable[[dict[str, Any], int], Sequence[Mapping[str, float]]] = lambda values, seed: (),
    folds: int | None = None,
) -> Study:
    """Write a study whose every cell ended as `outcome` says, and open it."""
    cells = []
    for chosen in itertools.product(*axes.values()):
        values = dict(zip(axes, chosen, strict=True))
        for seed in range(seeds):
            name = "_".join([*(f"{axis}-{value}" for axis, value in values.items()), f"seed-{seed}"])
            cells.append({"name": name, "values": values, "seed": seed, "hash": "0" * 12})
            with mock.patch("os.fsync"):  # nobody pulls the plug on a test
                write_cell(path / "cells" / name, seed, outcome(values, seed), epochs(values, seed), folds)
    plan = {
        "name": "made",
        "title": "Made",
        "question": "?",
        "task": "image",
        "scale": "smoke",
        "published": [],
    }
    plan |= {"version": "0", "axes": {axis: list(found) for axis, found in axes.items()}, "cells": cells}
    path.mkdir(parents=True, exist_ok=True)
    (path / "study.json").write_text(json.dumps({**plan, "claims": list(claims)}), encoding="utf-8")
    return Study.open(path)


def write_cell(
    path: Path, seed: int, outcome: Any, epochs: Sequence[Mapping[str, float]], folds: int | None = None
) -> None:
    """Write one run folder."""
    if outcome == WAITING:
        return
    folder = RunFolder.create(
        path, TrainConfig(seed=seed) if folds is None else ImageConfig(seed=seed, folds=folds), "image"
    )
    with folder:
        for number, record in enumerate(epochs, start=1):
            folder.append_metrics({"epoch": number, **record})
        if outcome == FAILED:
            folder.set_status("failed", error="out of memory")
            return
        metrics = {} if outcome == DIVERGED else outcome if isinstance(outcome, dict) else {"test/accuracy": outcome}
        state = "diverged" if outcome == DIVERGED else "finished"
        folder.finish({"state": state, "headline": "test/accuracy", "metrics": metrics, "seconds": 12.5})
