"""Cells on this machine: several processes, each with its share of the cores, each cell independent of the others.

A worker imports torch once and trains cell after cell. A cell that raises is recorded as failed by its own run folder;
a worker that dies (killed for memory, say) is replaced. In both cases the study goes on.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.runs import RunFolder, RunState
from normlab.runs.lock import FolderBusyError
from normlab.studies.plan import Cell
from normlab.studies.supervisor import Died, Job, run_jobs
from normlab.train_config import TrainConfig


class NotTrained(StrEnum):
    """Why a cell was not trained here, in place of a run's state."""

    BUSY = "busy"  # another process trains it
    REFUSED = "refused"  # the run cannot begin on this machine: no data, no such device
    UNFIT = "unfit"  # the machine cannot take any cell: it has another version of normlab, or none


@dataclass(frozen=True)
class Outcome:
    """How a cell ended."""

    state: str  # a `RunState` in which a run is over, or `NotTrained`
    line: str  # for people: the headline metric, or the error
    seconds: float


Trainer = Callable[[str, TrainConfig, Path], tuple[str, str]]  # (task, configuration, folder) -> (state, line)


def run_local(
    cells: list[Cell],
    task: str,
    folder: Path,
    *,
    workers: int | None,
    say: Callable[[str], None],
    threads: int = 1,
    train: Trainer | None = None,
    concurrent: int = 1,
) -> list[Outcome]:
    """Train cells, `workers` at a time; return how each ended, in the order of ending.

    Args:
        threads: of a worker's computations, as the cells' configurations have them.
        concurrent: so many cells share a worker's process and its data, a step of each in turn; meant for a GPU that
            one small network does not fill.
        train: what a worker does with a cell, picklable; default `train_cell`.
    Raises: KeyboardInterrupt once the workers have ended, unless every cell is over; what they have saved stays.
    """
    if not cells:
        return []
    groups = [cells[start : start + concurrent] for start in range(0, len(cells), concurrent)]
    outcomes: list[Outcome] = []

    def ended(number: int, value: Any, seconds: float) -> None:
        endings = [(RunState.FAILED, str(value))] * len(groups[number]) if isinstance(value, Died) else value
        for cell, (state, line) in zip(groups[number], endings, strict=True):
            outcomes.append(Outcome(state, line, seconds))
            say(f"[{len(outcomes)}/{len(cells)}] {cell.name}  {state}  {line}  ({seconds:.0f} s)")

    jobs = [_job(group, task, folder, train) for group in groups]
    try:
        run_jobs(jobs, workers=workers or default_workers(), threads=threads, ended=ended)
    except KeyboardInterrupt:  # a cell may end before it can say so
        if len(outcomes) < len(cells) and not all((folder / c.name / "result.json").exists() for c in cells):
            raise
    return outcomes


def threads_per_cell(cells: int, *, workers: int | None, concurrent: int = 1) -> int:
    """Return each process's share of the cores, at least 1, if so many cells are trained side by side."""
    processes = min(workers or default_workers(), -(-cells // concurrent))
    return max(1, _cores() // max(1, processes))


def default_workers() -> int:
    """One cell per core; a GPU is one machine, however many cores stand beside it."""
    return 1 if shutil.which("nvidia-smi") else _cores()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _job(cells: list[Cell], task: str, folder: Path, train: Trainer | None) -> Job:
    """Return the training of cells that share a process."""
    paths = [folder / cell.name for cell in cells]
    if len(cells) == 1:
        return Job(_alone, (train or train_cell, task, cells[0].config, paths[0]))
    assert train is None, "cells that share a process are trained by `train_cells`"
    return Job(train_cells, (task, [cell.config for cell in cells], paths))


def _alone(train: Trainer, task: str, config: TrainConfig, path: Path) -> list[tuple[str, str]]:
    return [train(task, config, path)]


def train_cell(
    task: str, config: TrainConfig, path: Path, *, prune: Callable[[Mapping[str, Any]], bool] | None = None
) -> tuple[str, str]:
    """Train one cell to its end, from its checkpoint if it has one; return its state and a line about it."""
    from normlab.engine.api import train_folder

    try:
        folder = _folder(path, config, task)
        result: dict[str, Any] = train_folder(folder, quiet=True, prune=prune)
    except Exception as error:  # the study goes on; the run folder holds state and cause
        return _failure(error, path)
    return _ending(result)


def train_cells(task: str, configs: list[TrainConfig], paths: list[Path]) -> list[tuple[str, str]]:
    """Train cells in one process, a step of each in turn, from their checkpoints if there are; tell as `train_cell`."""
    from normlab.engine.api import train_folders

    folders: dict[Path, RunFolder] = {}
    ended: dict[Path, Any] = {}
    for config, path in zip(configs, paths, strict=True):
        try:
            folders[path] = _folder(path, config, task)
        except UserError as error:
            ended[path] = error
    ended |= zip(folders, train_folders(list(folders.values()), concurrent=len(paths)), strict=True)
    return [
        _failure(ended[path], path) if isinstance(ended[path], Exception) else _ending(ended[path]) for path in paths
    ]


def _folder(path: Path, config: TrainConfig, task: str) -> RunFolder:
    """Return a cell's run folder, made if it is not there; another study's process may make it at the same time."""
    try:
        return RunFolder(path) if (path / "config.yaml").exists() else RunFolder.create(path, config, task)
    except UserError:
        if (path / "config.yaml").exists():
            return RunFolder(path)
        raise


def _failure(error: Exception, path: Path) -> tuple[str, str]:
    if isinstance(error, FolderBusyError):
        return NotTrained.BUSY, f"another process (pid {error.holder}) trains it"
    if isinstance(error, UserError):
        return RunState.FAILED, str(error)
    return RunState.FAILED, f"{type(error).__name__}: {error} (see {path / 'log.txt'})"


def _ending(result: Mapping[str, Any]) -> tuple[str, str]:
    if result["state"] == RunState.DIVERGED:
        return RunState.DIVERGED, result["diverged"]["reason"]
    if result["state"] == RunState.PRUNED:
        return RunState.PRUNED, f"after epoch {result['epochs']}"
    headline = result["headline"]
    return RunState.FINISHED, f"{headline} {result['metrics'][headline]:.4f}"
