"""Cells on this machine: so many processes, each with its share of the cores, each cell on its own.

A worker imports torch once and trains cell after cell. A cell that raises is recorded as failed by its own run folder;
a worker that dies (killed for memory, say) is replaced. In both cases the study goes on.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from normlab.config import TrainConfig
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.studies.plan import Cell
from normlab.studies.workers import Worker, new_stop


@dataclass(frozen=True)
class Outcome:
    """How a cell ended."""

    state: str  # finished, diverged, failed
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
    train: Trainer | None = None,
    concurrent: int = 1,
) -> list[Outcome]:
    """Train cells, `workers` at a time; return how each ended, in the order of ending.

    Args:
        concurrent: so many cells share a worker's process and its data, a step of each in turn; meant for a GPU that
            one small network does not fill.
        train: what a worker does with a cell, picklable; default `train_cell`.
    Raises: KeyboardInterrupt once the workers have stopped; what they have saved stays.
    """
    if not cells:
        return []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(workers or _default_workers(cores), -(-len(cells) // concurrent))
    queue: SimpleQueue[Cell] = SimpleQueue()
    for cell in cells:
        queue.put(cell)
    outcomes: list[Outcome] = []

    def report(cell: Cell, outcome: Outcome) -> None:
        outcomes.append(outcome)
        say(f"[{len(outcomes)}/{len(cells)}] {cell.name}  {outcome.state}  {outcome.line}  ({outcome.seconds:.0f} s)")

    lane = _Lane(queue, task, folder, max(1, cores // count), report, train, concurrent, new_stop())
    with ThreadPoolExecutor(count) as lanes:
        running = [lanes.submit(lane.serve) for _ in range(count)]
        try:
            for ended in wait(running, return_when=FIRST_EXCEPTION).done:
                ended.result()
        except BaseException:
            lane.stop.set()
            raise
    return outcomes


def _default_workers(cores: int) -> int:
    """One cell per core; a GPU is one machine, however many cores stand beside it."""
    return 1 if shutil.which("nvidia-smi") else cores


@dataclass(frozen=True)
class _Lane:
    """Works off the queue with one process, renewed if it dies."""

    queue: SimpleQueue[Cell]
    task: str
    folder: Path
    threads: int
    report: Callable[[Cell, Outcome], None]
    train: Trainer | None
    concurrent: int
    stop: Event

    def serve(self) -> None:
        """Train cells until the queue is empty, or the study stops."""
        worker = self._new_worker()
        try:
            while not self.stop.is_set() and (cells := _taken(self.queue, self.concurrent)):
                started = time.perf_counter()
                try:
                    ended = self._train(worker, cells)
                except BrokenProcessPool:
                    ended = [("failed", "the worker process died (killed? out of memory?)")] * len(cells)
                    worker = self._new_worker()
                for cell, (state, line) in zip(cells, ended, strict=True):
                    self.report(cell, Outcome(state, line, time.perf_counter() - started))
        finally:
            worker.shutdown()

    def _new_worker(self) -> Worker:
        return Worker(self.threads, self.stop)

    def _train(self, worker: Worker, cells: list[Cell]) -> list[tuple[str, str]]:
        """Return state and line of each of the cells that share the process."""
        configs = [c.config if c.config.threads else c.config.with_values("study", threads=self.threads) for c in cells]
        paths = [self.folder / cell.name for cell in cells]
        if self.concurrent == 1:
            return [worker.submit(self.train or train_cell, self.task, configs[0], paths[0]).result()]
        assert self.train is None, "cells that share a process are trained by `train_cells`"
        return worker.submit(train_cells, self.task, configs, paths).result()


def _taken(queue: SimpleQueue[Cell], width: int) -> list[Cell]:
    cells: list[Cell] = []
    with suppress(Empty):
        while len(cells) < width:
            cells.append(queue.get_nowait())
    return cells


def train_cell(
    task: str, config: TrainConfig, path: Path, *, prune: Callable[[Mapping[str, Any]], bool] | None = None
) -> tuple[str, str]:
    """Train one cell to its end, from its checkpoint if it has one; return its state and a line about it."""
    from normlab.engine.api import train_folder

    try:
        folder = RunFolder(path) if (path / "config.yaml").exists() else RunFolder.create(path, config, task)
        result: dict[str, Any] = train_folder(folder, quiet=True, prune=prune)
    except Exception as error:  # the study goes on; the run folder holds state and cause
        return _failure(error, path)
    return _told(result)


def train_cells(task: str, configs: list[TrainConfig], paths: list[Path]) -> list[tuple[str, str]]:
    """Train cells in one process, a step of each in turn, from their checkpoints if there are; tell as `train_cell`."""
    from normlab.engine.api import train_folders

    folders: dict[Path, RunFolder] = {}
    ended: dict[Path, Any] = {}
    for config, path in zip(configs, paths, strict=True):
        try:
            folders[path] = RunFolder(path) if (path / "config.yaml").exists() else RunFolder.create(path, config, task)
        except UserError as error:
            ended[path] = error
    ended |= zip(folders, train_folders(list(folders.values()), concurrent=len(paths)), strict=True)
    return [_failure(ended[path], path) if isinstance(ended[path], Exception) else _told(ended[path]) for path in paths]


def _failure(error: Exception, path: Path) -> tuple[str, str]:
    if isinstance(error, UserError):
        return "failed", str(error)
    return "failed", f"{type(error).__name__}: {error} (see {path / 'log.txt'})"


def _told(result: Mapping[str, Any]) -> tuple[str, str]:
    if result["state"] == "diverged":
        return "diverged", result["diverged"]["reason"]
    if result["state"] == "pruned":
        return "pruned", f"after epoch {result['epochs']}"
    headline = result["headline"]
    return "finished", f"{headline} {result['metrics'][headline]:.4f}"
