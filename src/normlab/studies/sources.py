"""Paths as people give them -> studies.

Study folders and archives as they are, loose runs of one task as one study, and a study for each file or folder of
results of another program.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from normlab.errors import UserError, did_you_mean
from normlab.plurals import plural
from normlab.reading import as_path
from normlab.runs import RunFolder, list_runs
from normlab.runs.archive import is_archive
from normlab.studies.foreign import Asked, is_results, open_results
from normlab.studies.study import Study, StudyCell

# Where a run lay or how loud it was makes no other variant.
_NO_AXIS = {"task", "seed", "device", "threads", "eval_batch_size", "train_metrics", "measure_test"}


def open_study(path: Path | str, **reading: Any) -> Study:
    """Open what lies at a path as one study: a study's folder or archive, run folders, or results of another program.

    Args:
        reading: what a file of results does not say of itself: fields of `normlab.studies.foreign.Asked`, such as
            `variant=["norm", "batch_size"]`, `seed="trial"`, `higher=["reward"]`.
    Raises: UserError if there is none, or runs of several tasks.
    """
    known = {each.name for each in fields(Asked)}
    for name in reading:
        if name not in known:
            raise UserError(f"study(): unknown argument '{name}': {did_you_mean(name, known)}")
    said: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in reading.items()}
    studies = collect_studies([as_path(path, "study()")], Asked(**said))
    if len(studies) != 1:
        raise UserError(f"{path}: holds runs of several tasks: give the folder of one")
    return studies[0]


def collect_studies(paths: Sequence[Path], asked: Asked | None = None) -> list[Study]:
    """Return a study for each study folder and each file of results, then one for the loose runs of each task.

    A folder that is neither stands for the runs below it. `asked` says how results of other programs are to be read.
    Of several runs, those with a damaged file are left out and named (`Study.left_out`).
    Raises: UserError for a path that holds neither a study nor a run, or if no run can be read.
    """
    studies: list[Study] = []
    runs: list[RunFolder] = []
    for path in paths:
        if (path / "study.json").is_file() or is_archive(path):
            studies.append(Study.open(path).readable())
        elif _is_of_another_program(path):
            studies.append(open_results(path, asked))
        else:
            runs += _runs_at(path)
    by_task: dict[str, list[RunFolder]] = {}
    left_out: list[str] = []
    for run in runs:
        try:
            StudyCell(run.name, {}, 0, "", run).check()
            task = str(run.config().get("task", "unknown"))
        except UserError as error:
            left_out.append(str(error))
        else:
            by_task.setdefault(task, []).append(run)
    if left_out and not studies and not by_task:
        raise UserError(left_out[0])
    studies += [_study_of_runs(task, of_task) for task, of_task in by_task.items()]
    return [replace(studies[0], left_out=[*studies[0].left_out, *left_out]), *studies[1:]]


def _is_of_another_program(path: Path) -> bool:
    """Say whether a path holds results, and no run of ours, which may have event files too."""
    ours = ("result.json", "metrics.jsonl", "status.json", "environment.json")
    if path.is_dir() and any((run.path / name).exists() for run in list_runs(path) for name in ours):
        return False
    return is_results(path)


def _runs_at(path: Path) -> list[RunFolder]:
    if (path / "config.yaml").is_file():
        return [RunFolder.open(path)]
    if not path.exists():
        raise UserError(f"{path}: no such folder: give a study folder, a run folder or a file of results")
    if path.is_file():
        raise UserError(f"{path}: no study, no run, and no CSV of results: give a study folder, a run folder or a .csv")
    runs = list_runs(path)
    if not runs:
        raise UserError(
            f"{path}: holds neither a study (study.json) nor a run (config.yaml), nor results of another program "
            "(docs/your-results.md): give another folder"
        )
    return runs


def _study_of_runs(task: str, runs: list[RunFolder]) -> Study:
    """Make a study whose axes are the settings in which the runs differ."""
    configs = [run.config() for run in runs]
    axes = {key: _distinct([config.get(key) for config in configs]) for key in _keys(configs)}
    axes = {key: values for key, values in axes.items() if len(values) > 1 or key == "norm"}
    cells = [_cell(run, config, list(axes)) for run, config in zip(runs, configs, strict=True)]
    if len({_identity(cell) for cell in cells}) < len(cells):  # the same settings and seed twice: tell runs apart
        names = _names(runs)
        axes["run"] = names
        cells = [
            StudyCell(cell.name, {**cell.values, "run": name}, cell.seed, cell.hash, cell.folder)
            for cell, name in zip(cells, names, strict=True)
        ]
    title = f"Run {runs[0].name}" if len(runs) == 1 else plural(len(runs), "run")
    where = runs[0].path if len(runs) == 1 else runs[0].path.parent
    return Study(where, where.resolve().name, title, "", task, "", axes, [task], [], cells)


def _cell(run: RunFolder, config: dict[str, Any], axes: list[str]) -> StudyCell:
    return StudyCell(run.name, {axis: config.get(axis) for axis in axes}, _seed(config), "", run)


def _seed(config: dict[str, Any]) -> int:
    seed = config.get("seed", 0)
    return seed if isinstance(seed, int) else 0


def _keys(configs: list[dict[str, Any]]) -> list[str]:
    return [key for key in dict.fromkeys(key for config in configs for key in config) if key not in _NO_AXIS]


def _distinct(values: list[Any]) -> list[Any]:
    return list({json.dumps(value): value for value in values}.values())


def _identity(cell: StudyCell) -> str:
    return json.dumps([cell.values, cell.seed])


def _names(runs: list[RunFolder]) -> list[str]:
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]
