"""How long what is left of a study takes on this machine, and the cells that fit into a budget of time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from normlab.errors import UserError
from normlab.runs import RunFolder, RunState
from normlab.runs.archive import is_archive
from normlab.studies.costs import Estimate, estimate, expected_epochs
from normlab.studies.local import default_workers, threads_per_cell
from normlab.studies.plan import Cell, Plan, in_pairs
from normlab.studies.study import study_folder
from normlab.studies.threads import with_threads


def estimate_plan(plan: Plan, out: Path, *, workers: int | None = None, budget: float | None = None) -> Estimate:
    """Say how long what is left of a plan takes on this machine, from a short probe of each variant.

    Args:
        plan: without a search.
        out: the study's folder or archive, whose finished cells and checkpoints count; it need not exist.
        budget: seconds of wall time.
    Raises: UserError as training would.
    """
    if plan.search is not None:
        raise UserError(f"{plan.name}: searches for settings: its trials cannot be estimated before they are drawn")
    folder = out
    if is_archive(out):
        beside = out.with_suffix("")  # where `run_study` goes on with an archive
        folder = beside if beside.exists() else study_folder(out)
    plan = with_threads(plan, folder, threads_per_cell(len(plan.cells), workers=workers))
    cells = [cell for cell in in_pairs(plan.cells) if not (folder / "cells" / cell.name / "result.json").exists()]
    return _estimate(cells, plan, folder, workers=workers, budget=budget)


def _estimate(cells: list[Cell], plan: Plan, folder: Path, *, workers: int | None, budget: float | None) -> Estimate:
    epochs_done = {
        cell.name: len(run.metrics())
        for cell in plan.cells
        if (run := RunFolder(folder / "cells" / cell.name)) and (run.path / "config.yaml").exists()
    }
    finished = {name: epochs for name, epochs in epochs_done.items() if _is_finished(folder / "cells" / name)}
    return estimate(
        cells,
        plan.file.task,
        workers=min(workers or default_workers(), max(1, len(cells))),
        threads=plan.threads,
        budget=budget,
        epochs_done=epochs_done,
        epochs_expected=expected_epochs(plan.cells, finished),
    )


def _is_finished(path: Path) -> bool:
    run = RunFolder(path)
    return run.done and run.result()["state"] == RunState.FINISHED


def cells_in_budget(
    cells: list[Cell], plan: Plan, folder: Path, *, workers: int | None, budget: float, say: Callable[[str], None]
) -> list[Cell]:
    """Return the cells that fit into a budget, after saying which. Raises: UserError if none does."""
    say("timing some steps of each variant ...")
    found = _estimate(cells, plan, folder, workers=workers, budget=budget)
    for line in found.lines():
        say(line)
    if not found.fitting:
        raise UserError(f"--budget: {found.fitting_text()}: give more time")
    return found.fitting
