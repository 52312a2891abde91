"""Measure a trained run again: on its own data, or on other labelled data of the same classes.

The files of training stay as they are, above all `predictions/`, which paired tests read: an evaluation is written to a
folder of its own. A run on a read-only disk can be measured too.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from normlab.engine.splits import columns_as_csv
from normlab.errors import UserError, did_you_mean
from normlab.metrics import SPLITS
from normlab.plurals import plural
from normlab.runs import RunFolder, RunState
from normlab.runs.atomic import write_json, write_text
from normlab.tasks.base import Task, TaskData
from normlab.train_config import TrainConfig

_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)  # the last: a model file has no inside


@dataclass(frozen=True)
class Measured:
    """What a trained run scored on a split.

    Attributes:
        metrics, tables, predictions: as in `tasks.base.Evaluation`, metric names with the split's prefix.
        fingerprint: of the data that were measured.
        notes: what a reader must know about the numbers, a line each.
        variant: what was done to the split's examples, "" for nothing; part of the name of its folder.
    """

    split: str
    metrics: dict[str, float]
    tables: dict[str, Any]
    predictions: dict[str, np.ndarray]
    fingerprint: str
    notes: list[str]
    variant: str = ""


def refuse_other_data(folder: RunFolder, data: TaskData) -> None:
    """Raise `UserError` if a run was begun with other data: its numbers would mix two experiments.

    A card may hold further `fingerprints`, name -> value: of pretrained vectors, say; and `fingerprint_parts`, of which
    that of the data is made, so that the part that differs can be named. What an older run did not record, or what
    cannot be looked at any more, is not compared.
    """
    if changed := _differing(folder.card(), data):
        raise _other_data_error(folder, changed)


def data_to_measure(
    task: Task, folder: RunFolder, config: TrainConfig, split: str, *, elsewhere: bool
) -> tuple[TaskData, list[str]]:
    """Return data that hold the split, and what must be said about them.

    The run's own data are prepared as in training. Other data are read with the run's card, if the task can do that
    (`labelled`): classes are compared by name, and only rows that are a split of their own are measured, because it is
    unknown which rows of a changed file training has seen.

    Args:
        config: the run's, `data` being where to look now.
        elsewhere: the user has named the data; then data without splits are one split, whole.
    Raises: UserError if there is no such split, or the data cannot be measured by this run.
    """
    if split not in SPLITS:
        raise UserError(f"unknown split '{split}': {did_you_mean(split, SPLITS)}")
    notes: list[str] = []
    own_data = _own_data(task, config)
    if isinstance(own_data, UserError):
        own_data, notes = _by_card(task, config, folder, own_data)
    changed = {} if isinstance(own_data, UserError) else _differing(folder.card(), own_data)
    if not isinstance(own_data, UserError) and "data" not in changed:
        refuse_other_data(folder, own_data)
        if split not in own_data.sizes:
            raise UserError(f"{folder.path}: its data have no split '{split}': {did_you_mean(split, own_data.sizes)}")
        return own_data, notes
    other: TaskData | None = task.labelled(config, folder.card(), split, whole=elsewhere)
    if other is None:
        raise own_data if isinstance(own_data, UserError) else _other_data_error(folder, changed)
    trained_on = folder.card().get("fingerprint", "unknown")
    what = config.data if elsewhere else f"{config.data}, which has changed since training"
    numbers = f"{plural(other.sizes[split], 'example')}, fingerprint {other.fingerprint}, not {trained_on}"
    notes = [f"other data than the run's: {what} ({numbers})"]
    return other, [*notes, *other.card.get("notes", ())]


def state_notes(folder: RunFolder) -> list[str]:
    """Say which weights are measured if training did not finish; nothing for a finished run."""
    if not folder.done:
        best = _best_so_far(folder)
        return [f"training is not over (state: {folder.status()['state']}): these are the weights {best}"]
    result = folder.result()
    if result["state"] == RunState.FINISHED:
        return []
    return [f"the run is {result['state']}: these are the weights {_best_so_far(folder)}"]


def refuse_unfinished(folder: RunFolder) -> None:
    """Raise `UserError` if training is not over: its scores could be mistaken for final ones."""
    if not folder.done:
        state, epochs = folder.status()["state"], len(folder.metrics())
        raise UserError(
            f"{folder.path}: training is not over (state: {state}, {plural(epochs, 'epoch')} done): finish it with "
            f"`normlab resume {folder.path}`, or measure the weights so far with --unfinished"
        )


def default_target(folder: RunFolder, measured: Measured, changes: Mapping[str, Any]) -> Path:
    """Return RUN/evaluations/NAME: one name for a split and its variant, the data, and settings changed since training.

    So a repeated evaluation replaces its earlier result and no other.
    """
    parts = [measured.split, *filter(None, [measured.variant])]
    if measured.fingerprint != folder.card().get("fingerprint", measured.fingerprint):
        parts.append(measured.fingerprint)
    parts += [f"{name}-{value}" for name, value in sorted(changes.items())]
    if not folder.done:
        parts.append(f"epoch-{len(folder.metrics())}")
    return folder.path / "evaluations" / re.sub(r"[^\w.+-]+", "_", "_".join(parts))


def write_evaluation(target: Path, measured: Measured, about: Mapping[str, Any]) -> None:
    """Write `evaluation.json` and, where the task predicts example by example, `predictions.csv`."""
    if measured.predictions:
        write_text(target / "predictions.csv", columns_as_csv(measured.predictions))
    record = {
        **about,
        "split": measured.split,
        "variant": measured.variant,
        "data_fingerprint": measured.fingerprint,
        "notes": measured.notes,
        "metrics": measured.metrics,
        "tables": measured.tables,
    }
    write_json(target / "evaluation.json", record)


def is_not_writable(error: OSError) -> bool:
    """Return whether an error means that a folder is read-only."""
    return error.errno in _NOT_WRITABLE


def _other_data_error(folder: RunFolder, changed: Mapping[str, tuple[str, str]]) -> UserError:
    name, (trained_on, given) = next(iter(changed.items()))
    return UserError(
        f"{folder.path}: trained on {name} {trained_on}, but these are {given}: "
        f"give the same {name}, or train a new run"
    )


def _own_data(task: Task, config: TrainConfig) -> TaskData | UserError:
    """Return the data that training would read, or why they cannot be read."""
    try:
        data: TaskData = task.prepare(config)
        return data
    except UserError as error:
        return error


def _by_card(
    task: Task, config: TrainConfig, folder: RunFolder, error: UserError
) -> tuple[TaskData | UserError, list[str]]:
    """Return the data read with the run's card, if the task can do that, and a line that says so; else the error."""
    try:
        data: TaskData | None = task.prepared_by(config, folder.card())
    except UserError:
        data = None
    return (error, []) if data is None else (data, [f"{error}: what the model holds of it was used instead"])


def _differing(card: Mapping[str, Any], data: TaskData) -> dict[str, tuple[str, str]]:
    """Return name -> (recorded in training, now) for each input of a run that has changed."""
    parts = data.card.get("fingerprint_parts", {})
    then = {**card.get("fingerprint_parts", {}), **card.get("fingerprints", {}), "data": card.get("fingerprint")}
    now = {**parts, **data.card.get("fingerprints", {}), "data": data.fingerprint}
    if parts and "fingerprint_parts" not in card:
        now["data"] = parts["questions"]  # an older run recorded the fingerprint of the questions only
    return {
        name: (trained_on, now[name])
        for name, trained_on in then.items()
        if trained_on is not None and name in now and trained_on != now[name]
    }


def _best_so_far(folder: RunFolder) -> str:
    epochs = len(folder.metrics())
    return f"of the best of {plural(epochs, 'epoch')}"
