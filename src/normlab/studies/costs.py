"""What a study's cells would take on this machine, and which of them fit into a budget of time.

Each variant is probed once, side by side with others as its cells would be trained, because processes share the
memory's bandwidth.
"""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import fmean
from typing import Any

from normlab.errors import UserError
from normlab.plurals import plural
from normlab.studies.plan import Cell
from normlab.studies.supervisor import Died, Job, run_jobs
from normlab.train_config import TrainConfig


@dataclass(frozen=True)
class Cost:
    """Seconds of wall time that a cell takes while others are trained beside it.

    Attributes:
        setup: before the first step.
        epoch: one epoch, with its measurement.
        final: the last measurement.
        epochs: at most.
        expected: epochs until early stopping, going by finished cells; None: not known, or nothing stops early.
    """

    setup: float
    epoch: float
    final: float
    epochs: int
    expected: int | None = None

    def seconds(self, epochs_done: int = 0) -> float:
        """Return what is left of a cell after some epochs. One that goes on past the expected end needs one more."""
        last = self.epochs if self.expected is None else min(self.epochs, max(self.expected, epochs_done + 1))
        return self.setup + max(0, last - epochs_done) * self.epoch + self.final

    def epochs_text(self) -> str:
        """Say it to people: "60 epochs of 17 s"; "about 14 of at most 60 epochs of 17 s"."""
        expected = "" if self.expected is None else f"about {self.expected} of at most "
        return f"{expected}{plural(self.epochs, 'epoch')} of {duration_text(self.epoch)}"


@dataclass(frozen=True)
class Estimate:
    """What is left to train, how long it takes, and what of it fits.

    Attributes:
        cells: those that are not finished, in the order of training.
        seconds: cell's name -> wall time that is left of it.
        costs: `variant_key` -> cost of a whole cell.
        fitting: the cells that fit into the budget; all of them without one.
        threads: of a cell; None if they differ.
    """

    cells: list[Cell]
    seconds: dict[str, float]
    costs: dict[str, Cost]
    fitting: list[Cell]
    workers: int
    threads: int | None = None
    budget: float | None = None

    def wall(self, cells: Sequence[Cell]) -> float:
        """Return when the last of these cells ends, in seconds."""
        return wall_seconds([self.seconds[cell.name] for cell in cells], self.workers)

    def lines(self) -> list[str]:
        """Say it to people: a line a variant, the sum, and what fits."""
        names = {variant_key(cell.values): variant_title(cell.values) for cell in self.cells}
        width = max(map(len, names.values()), default=0)
        lines = []
        for key, name in names.items():
            cost, seeds = self.costs[key], sum(variant_key(cell.values) == key for cell in self.cells)
            each = f"{duration_text(cost.seconds()):>9} a cell ({cost.epochs_text()})"
            lines.append(f"  {name:<{width}}  {each}  x {seeds}")
        threads = f", {self.threads} thread{'s' if self.threads != 1 else ''} each" if self.threads else ""
        lines.append(
            f"to train: {plural(len(self.cells), 'cell')}, {sum(self.seconds.values()) / 3600:.2f} hours of cells, "
            f"{duration_text(self.wall(self.cells))} with {self.workers} at a time{threads} (measured now, on this "
            f"machine{self._stopping_text()})"
        )
        if self.budget is not None:
            lines.append(f"in {duration_text(self.budget)}: {self.fitting_text()}")
        return lines

    def _stopping_text(self) -> str:
        """Say what early stopping makes of the sum, if any cell may stop early."""
        if not any(stops_early(cell.config) for cell in self.cells):
            return ""
        if any(cost.expected is not None for cost in self.costs.values()):
            return "; epochs as the finished cells needed"
        return "; early stopping may need less"

    def fitting_text(self) -> str:
        """Say which cells fit: seeds that are whole, then cells of the next one."""
        if not self.fitting:
            shortest = min(self.cells, key=lambda cell: self.seconds[cell.name])
            return f"no cell fits; the shortest, {shortest.name}, takes {duration_text(self.seconds[shortest.name])}"
        if len(self.fitting) == len(self.cells):
            return f"all {plural(len(self.cells), 'cell')}, done after {duration_text(self.wall(self.fitting))}"
        parts = []
        for seed, group in groupby(self.cells, key=lambda cell: cell.seed):
            planned = list(group)
            count = sum(cell.seed == seed for cell in self.fitting)
            if count:
                parts.append(
                    f"seed {seed} whole" if count == len(planned) else f"{count} of {len(planned)} of seed {seed}"
                )
        return (
            f"{len(self.fitting)} of {plural(len(self.cells), 'cell')} ({', '.join(parts)}), "
            f"done after {duration_text(self.wall(self.fitting))}"
        )


def estimate(
    cells: Sequence[Cell],
    task: str,
    *,
    workers: int,
    threads: int | None,
    budget: float | None = None,
    epochs_done: Mapping[str, int] | None = None,
    epochs_expected: Mapping[str, int] | None = None,
) -> Estimate:
    """Probe each variant and say what is left to train and what of it fits into a budget.

    Args:
        cells: not finished, in the order of training (`plan.in_pairs`).
        threads: of each cell; None if they differ.
        budget: seconds of wall time, the probing included.
        epochs_done: cell's name -> epochs that its checkpoint has.
        epochs_expected: `variant_key` -> epochs until early stopping, where finished cells tell.
    Raises: UserError as training would.
    """
    started = time.monotonic()
    expected = epochs_expected or {}
    costs = {
        key: replace(cost, expected=expected.get(key))
        for key, cost in probe_costs(cells, task, workers=workers, threads=threads or 1).items()
    }
    done = epochs_done or {}
    seconds = {cell.name: costs[variant_key(cell.values)].seconds(done.get(cell.name, 0)) for cell in cells}
    fitting = list(cells)
    if budget is not None:
        left = budget - (time.monotonic() - started)
        fitting = cells_within(cells, lambda cell: seconds[cell.name], workers=workers, budget=left)
    return Estimate(list(cells), seconds, costs, fitting, workers, threads, budget)


def duration_text(seconds: float) -> str:
    """Return a duration for people: "40 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def stops_early(config: TrainConfig) -> bool:
    """Say whether a training may end before its last epoch."""
    return config.patience is not None


def expected_epochs(cells: Sequence[Cell], needed: Mapping[str, int]) -> dict[str, int]:
    """Return `variant_key` -> epochs until early stopping, going by cells of the study that are finished.

    A variant is expected to need what its own finished cells needed, in the mean; one without any, the mean of all.

    Args:
        cells: of the whole study.
        needed: finished cell's name -> its epochs.
    """
    own: dict[str, list[int]] = {variant_key(cell.values): [] for cell in cells if stops_early(cell.config)}
    for cell in cells:
        if stops_early(cell.config) and cell.name in needed:
            own[variant_key(cell.values)].append(needed[cell.name])
    every = [epochs for variant in own.values() for epochs in variant]
    return {key: round(fmean(variant or every)) for key, variant in own.items()} if every else {}


def variant_key(values: Mapping[str, Any]) -> str:
    """Return a name of a cell's axis values, equal for all its seeds."""
    return json.dumps(values, sort_keys=True, default=str)


def variant_title(values: Mapping[str, Any]) -> str:
    """Return a variant for people: "norm=batch, lr=0.1"."""
    return ", ".join(f"{name}={value}" for name, value in values.items()) or "the one variant"


def probe_costs(cells: Sequence[Cell], task: str, *, workers: int, threads: int) -> dict[str, Cost]:
    """Return each variant's cost: `variant_key` -> cost.

    Args:
        cells: of the study, with their numbers of threads.
        workers: processes at once, as training will have them.
    Raises: UserError as training would, or naming a variant whose probe died.
    """
    costs: dict[str, Cost] = {}
    variants = [*{variant_key(cell.values): cell for cell in reversed(cells)}.values()][::-1]

    def ended(number: int, value: Any, seconds: float) -> None:
        cell = variants[number]
        if isinstance(value, Died):
            raise UserError(f"{cell.name}: no estimate: {value}")
        costs[variant_key(cell.values)] = Cost(**value, epochs=cell.config.epochs)

    jobs = [Job(_probe, (task, cell.config)) for cell in variants]
    run_jobs(jobs, workers=workers, threads=threads, ended=ended)
    return costs


def _probe(task: str, config: TrainConfig) -> dict[str, float]:
    from normlab.engine.api import probe_run

    return probe_run(task, config)


def wall_seconds(seconds: Sequence[float], workers: int) -> float:
    """Return when the last cell ends if each begins, in order, as soon as a worker is free."""
    free = [0.0] * max(1, workers)
    for duration in seconds:
        heapq.heapreplace(free, free[0] + duration)
    return max(free)


def cells_within(
    cells: Sequence[Cell], seconds_of: Callable[[Cell], float], *, workers: int, budget: float
) -> list[Cell]:
    """Return the cells that end within a budget: whole seeds first, then what still fits of the next seed.

    Args:
        cells: seed by seed, in the order of training (`plan.in_pairs`).
        seconds_of: what is left of a cell.
        budget: seconds of wall time.
    """
    chosen: list[Cell] = []
    for _, group in groupby(cells, key=lambda cell: cell.seed):
        seed = list(group)
        if wall_seconds([seconds_of(cell) for cell in [*chosen, *seed]], workers) <= budget:
            chosen += seed
            continue
        for cell in seed:
            if wall_seconds([seconds_of(other) for other in [*chosen, cell]], workers) <= budget:
                chosen.append(cell)
        break
    return chosen
