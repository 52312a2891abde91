"""What the course's training commands share: a run folder beside the model file, and the file at the end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.train_config import TrainConfig


def settings_of(task: str, scale: str | None, published: Mapping[str, Any], further: Mapping[str, Any]) -> TrainConfig:
    """Return a run's settings: the published protocol, the assignment's flags, then what else was given.

    Args:
        scale: "smoke" or "demo" for a quick try; None: "full", the protocol of the assignment.
        published: settings that the assignment's flags stand for; None leaves the protocol's own.
        further: settings by their names in normlab.
    """
    from normlab.tasks import task_settings

    given = {name: value for name, value in published.items() if value is not None}
    return task_settings(task).make(scale or "full", {**given, **further}, "command line")


def train_in(task: str, config: TrainConfig, folder: Path, *, quiet: bool) -> RunFolder:
    """Train in a new run folder, or go on in one that was begun with the same settings and is not finished.

    Raises: UserError if the folder holds another run.
    """
    from normlab.engine.api import train_folder, train_new

    if _is_begun(folder, task, config):
        run_folder = RunFolder.open(folder)
        train_folder(run_folder, quiet=quiet)
        return run_folder
    if os.path.lexists(folder / "config.yaml"):
        raise UserError(f"{folder}: holds a run that is finished or of other settings: choose another --run_dir")
    return train_new(task, config, folder, quiet=quiet)


def run_folder_for(output_file: Path, task: str, config: TrainConfig) -> Path:
    """Return OUTPUT_FILE.run, or with a number where that holds a run that this command cannot go on with."""
    first = output_file.with_name(f"{output_file.name}.run")
    candidates = (first if n == 1 else first.with_name(f"{first.name}-{n}") for n in range(1, 10_000))
    return next(path for path in candidates if not os.path.lexists(path) or _is_begun(path, task, config))


def refuse_unwritable(*files: Path | None) -> None:
    """Raise `UserError` before hours of work if a file could not be written after them."""
    for file in files:
        if file is None:
            continue
        if file.is_dir():
            raise UserError(f"{file}: is a folder, where a file is wanted: give a file in it")
        above = next(folder for folder in file.absolute().parents if os.path.lexists(folder))
        if not above.is_dir():
            raise UserError(f"{above}: is a file, so {file} cannot lie below it: choose another path")
        if not os.access(above, os.W_OK | os.X_OK):
            raise UserError(f"{above}: may not be written to: choose another path for {file.name}")


def _is_begun(path: Path, task: str, config: TrainConfig) -> bool:
    """Say whether a folder holds an unfinished run of these very settings."""
    if not (path / "config.yaml").is_file():
        return False
    folder = RunFolder.open(path)
    try:
        return not folder.done and folder.config() == {"task": task, **config.model_dump(mode="json")}
    except UserError:  # damaged: not ours to go on with
        return False
