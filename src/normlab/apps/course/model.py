"""The model that a prediction command is given, compared with what its flags say of it."""

from __future__ import annotations

from collections.abc import Mapping
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
    Raises: UserError if it is a model of another task.
    """
    from normlab.engine.api import load_run

    run = load_run(model_file, device=device, **{name: value for name, value in changes.items() if value is not None})
    if run.task.name != task:
        raise UserError(f"{model_file}: is {KINDS[run.task.name]}, where {KINDS[task]} is wanted: give another model")
    return run


def task_of(model_file: Path) -> str:
    """Return the task of a model file or run folder, without loading its weights."""
    from normlab.engine.api import load_run

    return load_run(model_file).task.name


def refuse_other_model(model_file: Path, given: Mapping[str, tuple[Any, Any, str]]) -> None:
    """Raise `UserError` if a flag does not describe the model.

    Args:
        given: flag -> (the setting that the flag's value stands for, the model's own, the flag's value); a value of
            None was not given.
    """
    for flag, (wanted, own, value) in given.items():
        if value is not None and wanted != own:
            shown = int(own) if isinstance(own, bool) else own
            raise UserError(f"--{flag} {value}: the model in {model_file} has {shown}: give that, or leave it out")
