"""Trainings of another program -> a study, which tables, claims and reports take like one of ours."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from normlab import metrics
from normlab.errors import UserError, did_you_mean, shortened
from normlab.plurals import plural
from normlab.runs import RunState
from normlab.studies.axes import VARIANT
from normlab.studies.claims import parse_claims
from normlab.studies.claims.file import read_claims_file
from normlab.studies.foreign import names
from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.percent import as_fractions, told_in_percent
from normlab.studies.foreign.training import ReadRun, Training
from normlab.studies.lengths import uneven_lengths
from normlab.studies.repeats import repeated_runs
from normlab.studies.study import Study, StudyCell


@dataclass(frozen=True)
class Reading:
    """Trainings with what was understood of their file.

    Attributes:
        said: how the file was read, in one line.
        clock: what curves run over.
        axes: settings that make the variants; None: those in which trainings differ.
        folds: into how many folds the data were divided, if seeds are folds.
        percent: metrics whose numbers carry percent signs.
    """

    path: Path
    trainings: list[Training]
    said: str
    clock: str = "epoch"
    axes: tuple[str, ...] | None = None
    folds: int | None = None
    percent: Collection[str] = ()


def study_of(reading: Reading, asked: Asked) -> Study:
    """Return the study of some trainings.

    Raises: UserError where no metric decides, two trainings are one cell, or a claim's file is wrong.
    """
    path, trainings = reading.path, reading.trainings
    declare(asked, path)
    told = told_in_percent(asked.percent, trainings) | set(reading.percent)
    notes = [reading.said, *as_fractions(path, trainings, told)]
    headline = _headline(path, trainings, asked)
    notes += _judge_states(path, trainings, headline)
    axes = list(reading.axes) if reading.axes is not None else _differing(trainings)
    renamed = _renamed(axes)
    cells = [_cell(path, training, renamed, headline) for training in trainings]
    _refuse_twice(cells, trainings)
    found: dict[str, list[Any]] = {axis: [] for axis in renamed.values()} or {VARIANT: []}
    for cell in cells:
        for axis, value in cell.values.items():
            if value not in found[axis]:
                found[axis].append(value)
    claims = _claims(asked.claims, renamed, headline)
    title = f"Results of {path.resolve().name}"
    study = Study(path, path.stem, title, "", "", "", found, [], claims, cells, clock=reading.clock, notes=notes)
    study = replace(study, told_folds=reading.folds)
    if claims:
        _check_claims(study, asked.claims)
    return replace(study, notes=[*notes, *uneven_lengths(study, headline), *repeated_runs(study)])


def _check_claims(study: Study, path: Path | None) -> None:
    """Raise `UserError` naming the claims' own file for a claim that the results cannot answer."""
    try:
        parse_claims(study)
    except UserError as mistake:
        raise UserError(str(mistake).replace(str(study.path / "study.json"), str(path))) from None


def declare(asked: Asked, path: Path) -> None:
    """Make known which way metrics point that only the user knows.

    Raises: UserError where normlab knows it the other way round, or both were said.
    """
    sides: tuple[tuple[Literal["higher", "lower"], tuple[str, ...]], ...]
    sides = ("higher", asked.higher), ("lower", asked.lower)
    for better, given in sides:
        for name in given:
            known = metrics.find(names.metric_name(name))
            if known is not None and known.better not in (better, None) and known.name not in metrics.TOLD:
                raise UserError(f"--{better}-is-better {name}: of {known.title}, {known.better} values are better")
            if name in asked.higher and name in asked.lower:
                raise UserError(f"--higher-is-better {name}: was also named after --lower-is-better: keep one")
            metrics.tell(names.metric_name(name), better)


def _headline(path: Path, trainings: Sequence[Training], asked: Asked) -> str:
    """Return the metric that decides: the one asked for, else the first that is known to have a better side."""
    known = list(dict.fromkeys(name for training in trainings for name in training.finals))
    if not known:
        raise UserError(f"{path}: no metric: name its column with --metrics COLUMN")
    asked_for = names.metric_name(asked.headline) if asked.headline else ""
    if asked_for and asked_for not in known:
        raise UserError(f"{path}: no metric '{asked.headline}': {did_you_mean(asked_for, known)}")
    directed = [name for name in known if metrics.has_direction(name)]
    ranked = sorted(directed, key=lambda name: (name.startswith("train/"), _rank(name)))
    headline = asked_for or next(iter(ranked), known[0])
    if not metrics.has_direction(headline):
        typed = shlex.quote(headline)
        raise UserError(
            f"{path}: it is not known which way the metric '{headline}' points: say --higher-is-better {typed} or "
            f"--lower-is-better {typed}"
        )
    return headline


def _rank(name: str) -> int:
    """Scores come before losses, and those before times and sizes; the user's own metrics come first."""
    metric = metrics.known(name)
    if metric.name in metrics.TOLD:
        return 0
    return {"fraction": 1, "value": 2, "loss": 3}.get(metric.unit, 4)


def _judge_states(path: Path, trainings: Sequence[Training], headline: str) -> list[str]:
    """Mark what diverged, whose headline metric is not finite.

    Raises: UserError for a finished training without the metric.
    """
    diverged = 0
    for training in trainings:
        if training.state is RunState.FAILED:
            continue
        if headline not in training.finals:
            raise UserError(
                f"{training.where}: no {headline}{_whose(training)}: add it, or leave the run out of the file"
            )
        training.finals = {name: value for name, value in training.finals.items() if math.isfinite(value)}
        if headline not in training.finals:
            training.state, diverged = RunState.DIVERGED, diverged + 1
    failed = sum(training.state is RunState.FAILED for training in trainings)
    lines = (
        [f"{diverged} of {plural(len(trainings), 'run')} diverged: their {headline} is not finite"] if diverged else []
    )
    return lines + ([f"{failed} of {plural(len(trainings), 'run')} failed and count nowhere"] if failed else [])


def _whose(training: Training) -> str:
    values = ", ".join(f"{name} {value}" for name, value in training.values.items())
    return f" of {training.name or values}, seed {training.seed}" if training.name or values else ""


def _differing(trainings: Sequence[Training]) -> list[str]:
    """Return the settings in which trainings differ, but not all from all others, and no two that say the same."""
    settings = list(dict.fromkeys(name for training in trainings for name in training.values))
    columns = {name: [json.dumps(each.values.get(name), default=str) for each in trainings] for name in settings}
    seeds = [training.seed for training in trainings]
    chosen: list[str] = []
    for name, cells in columns.items():
        size, pairs = len(set(cells)), set(zip(cells, seeds, strict=True))
        label = len(pairs) == size and len(set(seeds)) > 1 and size > 2
        copy = any(size == len(set(columns[o])) == len(set(zip(cells, columns[o], strict=True))) for o in chosen)
        if size > 1 and not label and not copy and names.plain(name) not in names.BOOKKEEPING:
            chosen.append(name)
    return chosen


def _renamed(axes: Sequence[str]) -> dict[str, str]:
    """Return axis -> its name in the study: the main one, whose values name themselves, is "variant"."""
    main = names.first_of(axes, names.MAIN_AXES) or (axes[0] if len(axes) == 1 else None)
    return {axis: VARIANT if axis == main else axis for axis in axes}


def _cell(path: Path, training: Training, renamed: Mapping[str, str], headline: str) -> StudyCell:
    values = {new: training.values.get(old) for old, new in renamed.items()} or {VARIANT: path.stem}
    seed = training.seed
    if seed is None:
        raise UserError(
            f"{training.where}: no seed: log it as the parameter 'seed', or write it into the run's name, "
            "as in batch-seed0"
        )
    name = "_".join([*(f"{axis}-{value}" for axis, value in values.items()), f"seed-{seed}"])
    return StudyCell(name, values, seed, "", ReadRun(path, training, headline))


def _refuse_twice(cells: Sequence[StudyCell], trainings: Sequence[Training]) -> None:
    first: dict[str, str] = {}
    for cell, training in zip(cells, trainings, strict=True):
        if cell.name in first:
            what = ", ".join(f"{axis} {shortened(value)}" for axis, value in cell.values.items())
            raise UserError(
                f"{training.where}: a second run of {what}, seed {cell.seed}, after {first[cell.name]}: leave one "
                "out, or name with --variant the settings that tell the two apart"
            )
        first[cell.name] = training.where


def _claims(path: Path | None, renamed: Mapping[str, str], headline: str) -> list[dict[str, Any]]:
    """Return the claims of a file; axes may have the names of the results' own columns, metrics their spelling."""
    claims = []
    for given in read_claims_file(path) if path else []:
        claim = {**given, "metric": names.metric_name(str(given.get("metric", headline)))}
        for side in ("a", "b", "where"):
            if isinstance(given.get(side), dict):
                claim[side] = {renamed.get(axis, axis): value for axis, value in given[side].items()}
        if given.get("over") in renamed:
            claim["over"] = renamed[given["over"]]
        claims.append(claim)
    return claims
