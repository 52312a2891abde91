"""Threads of a study's cells: part of the plan, because they decide the last digits of sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs import RunState
from normlab.studies.plan import Plan
from normlab.studies.study import Study


def with_threads(plan: Plan, folder: Path, share: int) -> Plan:
    """Return a plan whose cells all know their number of threads.

    How many threads add up a sum decides its last digits, so the number is part of the plan: the first run records it,
    and whatever `--workers` says later, a study goes on with it.

    Args:
        share: what a cell gets if nothing is recorded yet.
    Raises: UserError if other threads are asked for than cells of the folder were trained with.
    """
    asked = {cell.config.threads for cell in plan.cells}
    recorded, begun = _recorded_threads(folder)
    if asked == {None}:
        threads = recorded or share
        configs = [cell.config.with_values("study", threads=threads) for cell in plan.cells]
        cells = [replace(cell, config=config) for cell, config in zip(plan.cells, configs, strict=True)]
        return replace(plan, cells=cells, threads=threads)
    number = asked.pop()
    if asked:  # an axis, or variants
        return plan
    if begun and recorded not in (None, number):
        raise UserError(
            f"{folder}: its cells are trained with {plural(recorded or 0, 'thread')}, {number} are asked for, which "
            "gives other last digits: leave --threads out, or choose another --out"
        )
    return replace(plan, threads=number)


def _recorded_threads(folder: Path) -> tuple[int | None, bool]:
    """Return the threads of a study's cells, None if they differ or nothing says so, and whether one was begun."""
    if not (folder / "study.json").exists():
        return None, False
    study = Study.open(folder)
    begun = [cell for cell in study.cells if cell.state is not RunState.WAITING]
    numbers = {cell.folder.config().get("threads") for cell in begun}  # a plan of an older version says nothing
    return study.threads or (numbers.pop() if len(numbers) == 1 else None), bool(begun)
