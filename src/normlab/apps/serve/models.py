"""The models that the playground shows: those that were named, and for a task without one those of `normlab models`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from normlab.engine.api import Run, load_run
from normlab.runs.published import MODEL, published_models

Models = dict[str, dict[str, Run]]  # task -> title -> run
TASKS = ("image", "ner", "text2sql")


def open_models(named: Sequence[Path | str]) -> Models:
    """Open the models for each task; weights are read when they are first needed.

    Args:
        named: run folders, model files or names.
    Raises: UserError for what is none of these, or whose task the playground does not know.
    """
    runs = [load_run(name) for name in named]
    known = {run.task.name for run in runs}
    runs += [run for run in map(load_run, _published()) if run.task.name not in known]
    models: Models = {task: {} for task in TASKS}
    for run in runs:
        titles = models.setdefault(run.task.name, {})
        title = title_of(run)
        titles[str(run.path) if title in titles else title] = run
    return models


def title_of(run: Run) -> str:
    """Return what a model is called: its published name, or the name of its folder or file."""
    return run.path.parent.name if run.path.name == MODEL else run.path.name


def _published() -> list[str]:
    return [model.name for model in published_models()]
