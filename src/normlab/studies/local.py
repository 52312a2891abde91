"""Cells on this machine: so many processes, each with its share of the cores, each cell on its own.

A worker imports torch once and trains cell after cell. A cell that raises is recorded as failed by its own run folder;
a worker that dies (killed for memory, say) is replaced. In both cases the study goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from normlab.config import TrainConfig
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.runs.threads import let_idle_threads_sleep
from normlab.studies.plan import Cell


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
) -> list[Outcome]:
    """Train cells, `workers` at a time; return how each ended, in the order of ending.

    Args:
        train: what a worker does with a cell, picklable; default `train_cell`.
    Raises: KeyboardInterrupt after telling the workers to stop; what they have saved stays.
    """
    if not cells:
        return []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(workers or _default_workers(cores), len(cells))
    queue: SimpleQueue[Cell] = SimpleQueue()
    for cell in cells:
        queue.put(cell)
    outcomes: list[Outcome] = []

    def report(cell: Cell, outcome: Outcome) -> None:
        outcomes.append(outcome)
        say(f"[{len(outcomes)}/{len(cells)}] {cell.name}  {outcome.state}  {outcome.line}  ({outcome.seconds:.0f} s)")

    threads = max(1, cores // count)
    with ThreadPoolExecutor(count) as lanes:
        for lane in [lanes.submit(_serve, queue, task, folder, threads, report, train) for _ in range(count)]:
            lane.result()
    return outcomes


def _default_workers(cores: int) -> int:
    """One cell per core; a GPU is one machine, however many cores stand beside it."""
    return 1 if shutil.which("nvidia-smi") else cores


def _serve(
    queue: SimpleQueue[Cell],
    task: str,
    folder: Path,
    threads: int,
    report: Callable[[Cell, Outcome], None],
    train: Trainer | None,
) -> None:
    """Work off the queue with one process, renewed if it dies."""
    worker = new_worker(threads)
    try:
        while True:
            try:
                cell = queue.get_nowait()
            except Empty:
                return
            started = time.perf_counter()
            config = cell.config if cell.config.threads else cell.config.with_values("study", threads=threads)
            try:
                state, line = worker.submit(train or train_cell, task, config, folder / cell.name).result()
            except BrokenProcessPool:
                state, line = "failed", "the worker process died (killed? out of memory?)"
                worker = new_worker(threads)
            report(cell, Outcome(state, line, time.perf_counter() - started))
    finally:
        worker.shutdown(cancel_futures=True)


def new_worker(threads: int) -> ProcessPoolExecutor:
    """Return one process with so many threads."""
    # A fresh interpreter: forking after torch has started threads can hang.
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _prepare_worker, (threads,))


def _prepare_worker(threads: int) -> None:
    """Pin the thread count, and let idle OpenMP threads sleep: other cells need the cores."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    let_idle_threads_sleep()


def train_cell(
    task: str, config: TrainConfig, path: Path, *, prune: Callable[[Mapping[str, Any]], bool] | None = None
) -> tuple[str, str]:
    """Train one cell to its end, from its checkpoint if it has one; return its state and a line about it."""
    from normlab.engine.api import train_folder

    try:
        folder = RunFolder(path) if (path / "config.yaml").exists() else RunFolder.create(path, config, task)
        result: dict[str, Any] = train_folder(folder, quiet=True, prune=prune)
    except UserError as error:
        return "failed", str(error)
    except Exception as error:  # the study goes on; the run folder holds state and cause
        return "failed", f"{type(error).__name__}: {error} (see {path / 'log.txt'})"
    if result["state"] == "diverged":
        return "diverged", result["diverged"]["reason"]
    if result["state"] == "pruned":
        return "pruned", f"after epoch {result['epochs']}"
    headline = result["headline"]
    return "finished", f"{headline} {result['metrics'][headline]:.4f}"
