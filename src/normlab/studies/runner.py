"""Running a study: plan it, train the cells that are not done, survive those that fail.

A study's folder can be run again at any time. Finished cells are never repeated, interrupted ones go on from their
last checkpoint, and a plan that contradicts finished cells is refused, because the results would mix two experiments.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from normlab.config import affects_result
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs import RunState
from normlab.runs.archive import is_archive, unpack_study
from normlab.runs.atomic import is_unfinished, write_json, write_text
from normlab.studies.budget import cells_in_budget
from normlab.studies.cluster import ClusterOptions, run_on_ray
from normlab.studies.local import run_local, threads_per_cell
from normlab.studies.plan import Cell, Plan, find_study, in_pairs, make_plan
from normlab.studies.study import Study
from normlab.studies.threads import with_threads
from normlab.studies.until_decided import looks_as_begun, refuse_no_looks, run_until_decided, seeds_of
from normlab.train_config import TrainConfig
from normlab.version import __version__

Say = Callable[[str], None]


def run_study(
    path_or_name: str | Path,
    *,
    out: Path | str | None = None,
    scale: str = "demo",
    seeds: int | None = None,
    axes: Mapping[str, list[Any]] | None = None,
    workers: int | None = None,
    concurrent: int = 1,
    engine: Literal["local", "ray"] = "local",
    cluster: ClusterOptions | None = None,
    budget: float | None = None,
    until_decided: bool = False,
    say: Say | None = None,
    **changes: Any,
) -> Study:
    """Run a study and return it.

    Args:
        path_or_name: a YAML file, or the name of a shipped study.
        out: its folder; default `runs/NAME-SCALE`. An archive (`normlab study pack`) stands for the folder beside it
            without the suffix, into which its finished cells are unpacked first.
        axes: values that replace those of the study's axes, or make further ones, e.g. `{"norm": ["batch", "layer"]}`.
        workers: cells trained at once; default one per core, or one in all if there is a GPU; on a cluster as many
            as it has room for.
        concurrent: cells that share a process and its data, a step of each in turn; local engine only.
        engine: `local`, processes of this machine; `ray`, a cluster.
        cluster: which, and what a cell gets of it.
        budget: seconds; only the cells that fit by an estimate are trained, whole seeds first. Local engine only.
        until_decided: train seed by seed and stop once every claim is confirmed or refuted; the intervals are widened
            so that looking does not make them err more often (`statistics.sequential`). Local engine only.
        say: receives progress as lines; default standard error.
        changes: settings that override those of every cell, e.g. `data="cifar10"`.
    Raises: UserError for a wrong study, or a folder that holds another one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ:
        raise UserError("study: torchrun is for one run; start the study without it: its cells run side by side anyway")
    if concurrent < 1 or (concurrent > 1 and engine != "local"):
        raise UserError(f"concurrent: {concurrent} with the engine {engine}: give at least 1, and the local engine")
    if budget is not None and engine != "local":
        raise UserError("budget: a cluster's speed is not known here: leave it out, or train on this machine")
    if until_decided and (engine != "local" or budget is not None):
        raise UserError("until_decided: trains seed by seed on this machine: leave out the cluster or the budget")
    if workers is not None and workers < 1:
        raise UserError(f"workers: {workers} would train nothing: give at least 1")
    say = say or to_stderr
    plan = make_plan(path_or_name, scale=scale, seeds=seeds, axes=axes, **changes)
    if axes:
        plan = with_claims_that_apply(plan, say)
    if plan.search is not None:
        raise UserError(f"{find_study(path_or_name)}: searches for settings: run it with `normlab tune {path_or_name}`")
    folder = _place(Path(out) if out else Path("runs") / f"{plan.name}-{scale}", say)
    cells = folder / "cells"
    if any(not (cells / cell.name / "result.json").exists() for cell in plan.cells):
        refuse_wrong_claims(plan, find_study(path_or_name))
    if until_decided:
        refuse_no_looks(plan, find_study(path_or_name))
    try_own_code(plan)
    options = cluster or ClusterOptions()
    share = (
        max(1, int(options.cpus_per_cell))
        if engine == "ray"
        else threads_per_cell(len(plan.cells), workers=workers, concurrent=concurrent)
    )
    plan = with_threads(plan, folder, share)
    lay_out(plan, folder, find_study(path_or_name), planned_seeds=seeds_of(plan) if until_decided else None)
    waiting = [cell for cell in in_pairs(plan.cells) if not (cells / cell.name / "result.json").exists()]
    done = len(plan.cells) - len(waiting)
    threads = f", {plural(plan.threads, 'thread')} a cell" if waiting and plan.threads else ""
    say(f"{plan.file.title}: {plural(len(plan.cells), 'cell')}, {done} done, in {folder}{threads}")
    free = _left_by_others(waiting, Study.open(folder), say)
    if budget is not None and free:
        free = cells_in_budget(free, plan, folder, workers=workers, budget=budget, say=say)

    def train(chosen: list[Cell]) -> None:
        run_local(
            chosen,
            plan.file.task,
            cells,
            workers=workers,
            say=say,
            threads=plan.threads or share,
            concurrent=concurrent,
        )

    if until_decided:
        run_until_decided(free, folder, train, say)
    elif engine == "ray":
        run_on_ray(free, plan.file.task, cells, workers=workers, options=options, say=say)
    else:
        train(free)
    study = Study.open(folder)
    for sentence in study.mixed_inputs():
        say(f"warning: {sentence}: their comparison compares these too")
    return study


def _place(out: Path, say: Say) -> Path:
    """Return the folder in which cells are trained; an archive is unpacked into the folder of its name."""
    if not is_archive(out):
        return out
    folder = out.with_suffix("")
    if folder == out:
        raise UserError(f"{out}: a file stands where the study's folder belongs: choose another --out")
    unpack_study(out, folder)
    say(f"{out}: finished cells taken into {folder}; `normlab study pack {folder} --out {out}` puts new ones back")
    return folder


def _left_by_others(waiting: list[Cell], study: Study, say: Say) -> list[Cell]:
    """Return the cells that no other process is training; tell how many there are of the others."""
    others = {cell.name: cell for cell in study.trained_elsewhere()}
    taken = [cell for cell in waiting if cell.name in others]
    if taken:
        writer = others[taken[0].name].writer()
        say(
            f"{plural(len(taken), 'cell is', 'cells are')} being trained by another process "
            f"(pid {writer.get('pid', '?')} on {writer.get('host', '?')}) and left to it"
        )
    return [cell for cell in waiting if cell.name not in others]


def refuse_wrong_claims(plan: Plan, source: Path) -> None:
    """Check the claims before hours of training, not after."""
    from normlab.studies.claims import read_claims  # scipy takes a second to import; planning does not need it

    read_claims(plan.file.claims, plan.axes, str(source))


def try_own_code(plan: Plan) -> None:
    """Try the networks and norms of other people's that the cells name. Raises: UserError if one cannot be trained."""
    own = [cell.config for cell in plan.cells if cell.config.own_code]
    if own:
        from normlab.engine.api import preflight  # torch, which planning does not need

        preflight(plan.file.task, own)


def with_claims_that_apply(plan: Plan, say: Say) -> Plan:
    """Return a plan whose axes were changed without those claims of its file that speak of other values."""
    from normlab.studies.claims import read_claims

    claims = []
    for claim in plan.file.claims:
        try:
            read_claims([claim], plan.axes, "claim")
        except UserError:
            say(f"left out with what it compares: {claim.get('says', 'a claim')}")
        else:
            claims.append(claim)
    return replace(plan, file=plan.file.model_copy(update={"claims": claims}))


def lay_out(plan: Plan, folder: Path, source: Path, *, planned_seeds: int | None = None) -> None:
    """Write `study.json` and a copy of the study's file.

    Args:
        planned_seeds: of a study that stops once its claims are decided. That it may is kept: its looks are fixed.

    Raises: UserError if the folder holds cells that were trained to another plan.
    """
    if (folder / "study.json").exists():
        _refuse_other_plan(plan, Study.open(folder))
        planned_seeds = looks_as_begun(Study.open(folder), planned_seeds)
    elif folder.exists() and not _only_begun(folder, source):
        raise UserError(f"{folder}: not empty and not a study: choose another --out")
    write_text(folder / "study.yaml", source.read_text(encoding="utf-8"))
    write_json(
        folder / "study.json",
        {
            "version": __version__,
            "name": plan.name,
            "title": plan.file.title,
            "question": plan.file.question,
            "task": plan.file.task,
            "scale": plan.scale,
            "axes": plan.axes,
            "published": plan.file.published,
            "claims": plan.file.claims,
            "threads": plan.threads,
            **({} if planned_seeds is None else {"planned_seeds": planned_seeds}),
            "search": None if plan.search is None else plan.search.model_dump(mode="json"),
            "cells": [
                {"name": cell.name, "values": cell.values, "seed": cell.seed, "hash": cell.hash} for cell in plan.cells
            ],
        },
    )


def _only_begun(folder: Path, source: Path) -> bool:
    """Say whether a folder holds nothing but what `lay_out` leaves if it is killed before `study.json` stands."""
    left = [path for path in folder.iterdir() if not is_unfinished(path)]
    copied = source.read_text(encoding="utf-8")
    return all(path.name == "study.yaml" and path.read_text(encoding="utf-8") == copied for path in left)


def _refuse_other_plan(plan: Plan, study: Study) -> None:
    planned = {cell.name: cell for cell in plan.cells}
    drawn = list(plan.search.space) if plan.search else []
    for cell in study.cells:
        if cell.state is RunState.WAITING:
            continue
        trained = f"{study.path}: cell {cell.name} was trained"
        if cell.name not in planned:
            raise UserError(f"{trained} but is not in the plan any more: choose another --out, or restore the study")
        if cell.hash != planned[cell.name].hash:
            changed = _difference(cell.folder.config(), planned[cell.name].config, drawn)
            raise UserError(f"{trained} with other settings ({changed}): choose another --out, or restore them")


def _difference(old: dict[str, Any], planned: TrainConfig, drawn: list[str]) -> str:
    """Say which settings that matter to a result differ, old -> new; those that are drawn differ anyway."""
    new = planned.model_dump(mode="json")
    matters = [key for key in new if affects_result(type(planned), key) and key not in drawn]
    return ", ".join(f"{key}: {old.get(key)} -> {new[key]}" for key in matters if old.get(key) != new[key])


def to_stderr(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
