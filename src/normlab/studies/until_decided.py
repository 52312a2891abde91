"""A study that stops when its claims are decided: seed by seed, with a look after each from the second on.

The number of seeds at most is fixed when the study begins, because the levels of its looks depend on it; `study.json`
keeps it, and claims are judged at these levels ever after (`claims.judge.level_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from normlab.errors import UserError
from normlab.plurals import plural
from normlab.studies.plan import Cell, Plan
from normlab.studies.study import Study

FEWEST_SEEDS = 3


def seeds_of(plan: Plan) -> int:
    """Return the number of seeds of a plan."""
    return len({cell.seed for cell in plan.cells})


def refuse_no_looks(plan: Plan, source: Path) -> None:
    """Refuse a plan without claims to decide, or with too few seeds to stop before the end."""
    if not plan.file.claims:
        raise UserError(f"{source}: has no claims that could be decided: leave --until-decided out")
    if seeds_of(plan) < FEWEST_SEEDS:
        raise UserError(
            f"--until-decided: {plural(seeds_of(plan), 'seed leaves', 'seeds leave')} nothing to stop before: give "
            f"--seeds {FEWEST_SEEDS} or more"
        )


def looks_as_begun(study: Study, planned_seeds: int | None) -> int | None:
    """Return the seeds at most of a study that goes on; what it began with, once a cell is done.

    Raises: UserError if others are asked for then: the levels of the looks so far would be others.
    """
    if not any(cell.result is not None for cell in study.cells) or planned_seeds == study.planned_seeds:
        return planned_seeds
    if planned_seeds is None:
        return study.planned_seeds  # claims stay judged as begun, also when the remaining seeds are trained
    begun = (
        "a fixed number of seeds" if study.planned_seeds is None else f"at most {plural(study.planned_seeds, 'seed')}"
    )
    raise UserError(
        f"{study.path}: was begun with {begun}, and its looks cannot be planned anew: go on as it began, or choose "
        "another --out"
    )


def run_until_decided(
    cells: Sequence[Cell], folder: Path, train: Callable[[list[Cell]], object], say: Callable[[str], None]
) -> None:
    """Train what is open seed by seed until no claim is undecided.

    Args:
        cells: not finished, seed by seed (`plan.in_pairs`).
        train: trains some cells.
    """
    for seed, group in groupby(cells, key=lambda cell: cell.seed):
        if not _open_claims(folder, say):
            return
        say(f"seed {seed}:")
        train(list(group))
    _open_claims(folder, say)


def _open_claims(folder: Path, say: Callable[[str], None]) -> bool:
    """Look at the claims; return whether one is undecided, or there are too few seeds to look."""
    from normlab.studies.claims import judge, parse_claims
    from normlab.studies.claims.judge import level_of, whole_seeds
    from normlab.studies.statistics.sequential import FIRST_LOOK

    study = Study.open(folder)
    seeds = whole_seeds(study)
    if seeds < FIRST_LOOK:
        return True
    kinds = [judge(study, claim).kind for claim in parse_claims(study)]
    undecided = kinds.count("undecided")
    rest = (
        f"{undecided} of {plural(len(kinds), 'claim')} undecided"
        if undecided
        else f"{plural(len(kinds), 'claim is', 'claims are')} decided: done"
    )
    say(f"after {seeds} of {study.planned_seeds} seeds, intervals at {100 * level_of(study):.2f} %: {rest}")
    return undecided > 0
