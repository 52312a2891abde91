"""The model that a prediction command is given, compared with what its flags say of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from normlab.errors import UserError

if TYPE_CHECKING:
    from normlab.engine.api import Run

KINDS = {"image": "an image classifier", "ner": "a tagger", "text2sql": "a text-to-SQL model"}


def open_model(model_file: Path, task: str, *, device: str | None = None, **changes: Any) -> Run:
    """Open a model file (or a run folder) of one task.

    Args:
        changes: settings that training did not depend on, None for those that stay.
    Raises: UserError if it is a model of another task, or a run that is not finished.
    """
    from normlab.engine.api import load_run

    run = load_run(model_file, device=device, **{name: value for name, value in changes.items() if value is not None})
    if run.task.name != task:
        raise UserError(f"{model_file}: is {KINDS[run.task.name]}, where {KINDS[task]} is wanted: give another model")
    if not run.folder.done:
        raise UserError(f"{model_file}: training is not over: finish it with `normlab resume {model_file}`")
    return run


def task_of(model_file: Path) -> str:
    """Return the task of a model file or run folder, without loading its weights."""
    from normlab.engine.api import load_run

    return load_run(model_file).task.name


def refuse_other_model(model_file: Path, **flags: tuple[object, object]) -> None:
    """Raise `UserError` if a published flag does not describe the model.

    Args:
        flags: flag -> (what was given, None for nothing; what the model has), both as the assignment writes them.
    """
    for flag, (given, own) in flags.items():
        if given not in (None, own):
            raise UserError(f"--{flag} {given}: the model in {model_file} has {own}: give that, or leave it out")
