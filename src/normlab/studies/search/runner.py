"""Running a search: plan it, train the trials that are not done, measure the best of each scheme on the test split.

A search's folder is a study's folder whose cells are trials, so it is laid out, resumed and refused in the same way.
Trials run in rounds, the same one of every scheme before the next, so that a search cut short has spent the same
budget on each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs.lock import FolderLock
from normlab.studies.local import run_local, threads_per_cell
from normlab.studies.plan import Cell, Plan, find_study, make_plan
from normlab.studies.runner import Say, lay_out, refuse_wrong_claims, to_stderr, try_own_code, with_claims_that_apply
from normlab.studies.search.winners import measure_winners
from normlab.studies.search_settings import Search
from normlab.studies.study import Study
from normlab.studies.threads import with_threads


def run_search(
    path_or_name: str | Path,
    *,
    out: Path | str | None = None,
    scale: str = "demo",
    seeds: int | None = None,
    axes: Mapping[str, list[Any]] | None = None,
    workers: int | None = None,
    say: Say | None = None,
    **changes: Any,
) -> Study:
    """Search for the best settings of each combination of a study's axes, and return the search as a study of trials.

    Args:
        path_or_name: a YAML file with a `search` block, or the name of a shipped one.
        out: the search's folder; default `runs/NAME-SCALE`.
        axes: values that replace those of the file's axes: what is compared.
        workers: trials trained at once; default one per core, or one in all if there is a GPU. A space's proposals
            depend on which trials are over, so only one worker draws the same trials again.
        say: receives progress as lines; default standard error.
        changes: settings that override those of every trial, e.g. `data="cifar10"`.
    Raises: UserError for a wrong file, a folder that holds something else, or a space without Optuna.
    """
    if workers is not None and workers < 1:
        raise UserError(f"workers: {workers} would train nothing: give at least 1")
    say = say or to_stderr
    source = find_study(path_or_name)
    plan = make_plan(path_or_name, scale=scale, seeds=seeds, axes=axes, **changes)
    if axes:
        plan = with_claims_that_apply(plan, say)
    if plan.search is None:
        raise UserError(f"{source}: has no `search` block: run it with `normlab study run {path_or_name}`")
    refuse_wrong_claims(plan, source)
    if plan.search.space:
        from normlab.studies.search.proposals import require_optuna

        require_optuna(f"{source}: search")
    folder = Path(out) if out else Path("runs") / f"{plan.name}-{scale}"
    _refuse_other_search(plan.search, folder)
    plan = with_threads(plan, folder, threads_per_cell(len(plan.cells), workers=workers))
    try_own_code(plan)
    lay_out(plan, folder, source)
    lock = FolderLock(folder / ".lock")
    lock.acquire(folder)
    try:
        _train(plan, folder, workers, say)
        study = Study.open(folder)
        measure_winners(study, say)
    finally:
        lock.release()
    return study


def _train(plan: Plan, folder: Path, workers: int | None, say: Say) -> None:
    assert plan.search is not None
    cells, trainer = in_rounds(plan), None
    if plan.search.space:
        from normlab.studies.search.proposals import Proposals

        trainer = Proposals.begin(plan, folder)
        over = trainer.over()
    else:
        over = {cell.name for cell in cells if (folder / "cells" / cell.name / "result.json").exists()}
    waiting = [cell for cell in cells if cell.name not in over]
    done = len(cells) - len(waiting)
    say(f"{plan.file.title}: {plural(len(cells), 'trial')}, {done} done, in {folder}")
    run_local(
        waiting, plan.file.task, folder / "cells", workers=workers, say=say, threads=plan.threads or 1, train=trainer
    )


def in_rounds(plan: Plan) -> list[Cell]:
    """Order trials by seed, then by what is searched, then by scheme."""
    assert plan.search is not None
    axes = list(plan.search.axes())
    order: dict[str, int] = {}
    for cell in plan.cells:
        order.setdefault(_key(cell, axes), len(order))
    return sorted(plan.cells, key=lambda cell: (cell.seed, order[_key(cell, axes)]))


def _key(cell: Cell, axes: list[str]) -> str:
    return json.dumps([cell.values[axis] for axis in axes])


def _refuse_other_search(search: Search, folder: Path) -> None:
    """Raise `UserError` if a folder's trials were drawn in another way; more of them may be asked for."""
    if not (folder / "study.json").exists():
        return
    old = Study.open(folder).search
    if old is None:
        raise UserError(f"{folder}: holds a study that is no search: choose another --out")
    new = search.model_dump(mode="json")
    changed = [key for key in new if key not in ("grid", "trials") and new[key] != old.get(key)]
    if changed:
        raise UserError(f"{folder}: searched with another {changed[0]}: choose another --out, or restore it")
