"""The lists of `normlab list`: one function per list, which returns rows of plain values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.runs import RunFolder, list_runs
from normlab.tasks import TASKS, task_settings

Rows = list[dict[str, Any]]


def list_norms(folder: Path) -> Rows:
    """Return each scheme with its aliases, the axes of its statistics, and its paper."""
    rows = []
    for name in NORMS:
        norm = NORMS.get(name)
        rows.append(
            {
                "name": name,
                "aliases": " ".join(NORMS.aliases(name)),
                "statistics over": "".join(axis for axis in "NCHW" if axis in norm.pools_over) or "-",
                "paper": f"{norm.card.paper.partition(':')[0]} {norm.card.year}" if norm.card.year else "-",
                "use it": norm.card.when_to_use,
            }
        )
    return rows


def list_tasks(folder: Path) -> Rows:
    """Return each task with its presets."""
    return [{"name": name, "presets": " ".join(task_settings(name).presets)} for name in TASKS]


def list_presets(folder: Path) -> Rows:
    """Return each task's presets with what they change."""
    return [
        {
            "task": task,
            "preset": preset,
            "changes": ", ".join(f"{key}={value}" for key, value in changes.items()),
        }
        for task in TASKS
        for preset, changes in task_settings(task).presets.items()
    ]


def list_studies(folder: Path) -> Rows:
    """Return the shipped studies with their titles and scales."""
    from normlab.studies.plan import StudyFile, shipped_studies

    rows = []
    for name, path in shipped_studies().items():
        study = StudyFile.from_yaml(path)
        verb = "tune" if study.search else "study run"
        rows.append({"name": name, "run with": verb, "title": study.title, "scales": " ".join(study.scales)})
    return rows


def list_run_folders(folder: Path) -> Rows:
    """Return the runs below a folder with state and headline metric; of a damaged one, which file is damaged."""
    return [_run_row(run) for run in list_runs(folder)]


def _run_row(run: RunFolder) -> dict[str, Any]:
    try:
        result = run.result() if run.done else {}
        headline = result.get("headline", "")
        value = result.get("metrics", {}).get(headline)
        score = f"{headline} {value:.4f}" if value is not None else "-"
        return {"run": str(run.path), "state": run.status()["state"], "epochs": len(run.metrics()), "result": score}
    except UserError as error:
        return {"run": str(run.path), "state": "damaged", "epochs": 0, "result": str(error)}


LISTINGS: dict[str, Callable[[Path], Rows]] = {
    "norms": list_norms,
    "tasks": list_tasks,
    "runs": list_run_folders,
    "presets": list_presets,
    "studies": list_studies,
}
