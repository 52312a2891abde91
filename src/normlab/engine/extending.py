"""Training on after the end: a finished run gets a later end and goes on from its last epoch.

The learning rate is a function of the share of the run that is done, so with a later end the schedule is stretched: the
next step has the rate that a run of so many epochs has at that place. What was trained before stays as it is. So the
result is not that of a run which had the later end from the start, and its configuration says so (`extended_at`).
"""

from __future__ import annotations

from typing import Any

from normlab.engine.optim import learning_rate
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs import RunFolder, RunState
from normlab.runs.atomic import write_text
from normlab.tasks import task_settings
from normlab.train_config import TrainConfig


def extend_run(folder: RunFolder, epochs: int) -> str:
    """Let a finished run end after so many epochs instead; training is then resumed as ever. Return what that means.

    The old result is removed first: a run that is stopped between the two writes has its old end, unmeasured.
    Raises: UserError for a run that is not over, diverged, or had as many epochs, and for a cell of a study.
    """
    with folder:
        values = folder.config()
        task = values.pop("task")
        config = task_settings(task).make(None, values, str(folder.path / "config.yaml"))
        result = _refuse_others(folder, config, epochs)
        done = int(result["epochs"])
        extended = config.with_values("--epochs", epochs=epochs, extended_at=(*config.extended_at, done))
        steps = max(1, int(result["steps"]) // max(1, done))
        rate = learning_rate(extended, done * steps, steps)
        before = folder.metrics()[-1]["lr"]
        (folder.path / "result.json").unlink()
        write_text(folder.path / "config.yaml", f"task: {task}\n{extended.to_yaml()}")
        folder.set_status(RunState.INTERRUPTED)
    if config.schedule == "constant":
        meaning = f"the learning rate stays {rate:.4g}"
    else:
        meaning = (
            f"the schedule {config.schedule} is stretched over {plural(epochs, 'epoch')}, so the learning rate goes "
            f"on from {rate:.4g} (it had come to {before:.4g}); a run of {plural(epochs, 'epoch')} from the start ends "
            "in other weights"
        )
    return f"{folder.path}: goes on after epoch {done} up to epoch {epochs}: {meaning}"


def _refuse_others(folder: RunFolder, config: TrainConfig, epochs: int) -> dict[str, Any]:
    """Return the result of a run that can be extended."""
    if folder.path.resolve().parent.name == "cells" and (folder.path.resolve().parents[1] / "study.json").is_file():
        raise UserError(
            f"{folder.path}: a cell of a study, whose cells share their settings: run the study with --epochs {epochs} "
            "and another --out"
        )
    if not folder.done:
        raise UserError(f"{folder.path}: is not finished, so its end stays: first `normlab resume {folder.path}`")
    result = folder.result()
    if result["state"] != RunState.FINISHED:
        raise UserError(f"{folder.path}: has {result['state']}, so there is nothing to train on from: train a new run")
    if epochs <= result["epochs"]:
        raise UserError(
            f"{folder.path}: has {plural(result['epochs'], 'epoch')} already: give more than that with --epochs"
        )
    if epochs < config.epochs:
        raise UserError(
            f"{folder.path}: stopped after {result['epochs']} of {plural(config.epochs, 'epoch')}: give "
            f"{config.epochs} or more"
        )
    if not folder.saved:
        raise UserError(f"{folder.path}: holds no checkpoints/last.safetensors to go on from: train a new run")
    return result
