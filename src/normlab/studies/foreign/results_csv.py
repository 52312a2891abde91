"""A CSV of results: a row per run, or per run and step; a column per metric, or one of names and one of values."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from pathlib import Path

from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs import RunState
from normlab.studies.foreign import names
from normlab.studies.foreign.asked import Asked
from normlab.studies.foreign.assemble import Reading
from normlab.studies.foreign.columns import Roles, clocks, roles_of
from normlab.studies.foreign.percent import with_percent_signs
from normlab.studies.foreign.rows import trainings_of
from normlab.studies.foreign.table_file import Table, read_table
from normlab.studies.foreign.training import Training

_SUFFIXES = (".csv", ".tsv", ".txt")
_FAILED = ("crashed", "failed", "killed", "running", "preempted")


def reads(path: Path) -> bool:
    """Say whether a path is a file with a table's suffix."""
    return path.suffix.lower() in _SUFFIXES and not path.is_dir()


def read(path: Path, asked: Asked) -> Reading:
    """Read a table of results.

    Raises: UserError with file and line for what cannot be read as asked.
    """
    table = read_table(path)
    roles = roles_of(table, asked)
    headline = names.metric_name(asked.headline) if asked.headline else ""
    if roles.seed_columns and not headline:
        raise UserError(f"{path}: a column per seed does not say what its numbers are: say it, --metric accuracy")
    trainings, roles = _with_a_fitting_clock(table, roles, headline, asked)
    _mark_failed(table, trainings)
    axes = ("variant",) if roles.name_seed else roles.variant
    clock = "epoch" if not roles.step or "epoch" in names.plain(roles.step) else "step"
    folds = len({training.seed for training in trainings}) if _are_folds(roles) else 0
    said, signed = _said(path, roles, trainings, headline), with_percent_signs(table, roles, headline)
    return Reading(path, trainings, said, clock, axes, folds if folds > 1 else None, signed)


def _are_folds(roles: Roles) -> bool:
    return names.plain(roles.seed) == "fold"


def _with_a_fitting_clock(table: Table, roles: Roles, headline: str, asked: Asked) -> tuple[list[Training], Roles]:
    """Read over the first clock that gives each row a time of its own: programs write epochs beside steps."""
    others = [] if asked.step else [name for name in clocks(list(table.columns)) if name != roles.step]
    try:
        return trainings_of(table, roles, headline, unpaired=asked.unpaired), roles
    except UserError:
        for step in others:
            other = replace(roles, step=step)
            try:
                return trainings_of(table, other, headline, unpaired=asked.unpaired), other
            except UserError:
                continue
        raise


def _mark_failed(table: Table, trainings: list[Training]) -> None:
    """Mark runs of which a column says that they did not come to their end, as Weights & Biases writes it."""
    column = names.first_of(table.columns, ("state", "status"))
    if column is None:
        return
    for training in trainings:
        row = bisect_left(table.lines, int(training.where.rpartition(":")[2]))
        if table.columns[column][row].strip().lower() in _FAILED:
            training.state = RunState.FAILED


def _said(path: Path, roles: Roles, trainings: list[Training], headline: str) -> str:
    """Return how the columns were read, in a line."""
    quoted = [f"'{name}'" for name in roles.variant]
    if roles.name_seed:
        parts = [f"variant and seed from the names in {quoted[0]}"]
    else:
        columns = f"column{'s' if len(quoted) > 1 else ''} {', '.join(quoted)}"
        parts = [f"variant from {columns}" if quoted else "one variant (no column tells variants apart)"]
    if roles.seed:
        folds = ", as folds of a cross-validation" if _are_folds(roles) else ""
        parts.append(f"seed from '{roles.seed}'{folds}")
    if roles.seed_columns:
        parts.append(
            f"seeds from {plural(len(roles.seed_columns), 'column')} ('{next(iter(roles.seed_columns))}', ...)"
        )
    if not roles.seed and not roles.seed_columns and not roles.name_seed:
        parts.append("no seeds: each row is a run of its own")
    metrics = list(dict.fromkeys(name for training in trainings for name in training.finals))
    if roles.long:
        parts.append(f"long form: metrics named in '{roles.long[0]}', values in '{roles.long[1]}'")
    parts.append(f"metrics: {', '.join(metrics)}")
    if any(training.records for training in trainings):
        parts.append(f"curves over '{roles.step}', of which the last value counts")
    if roles.unused:
        parts.append(f"not used: {', '.join(roles.unused)}")
    return f"{path.name}: {plural(len(trainings), 'run')}; {'; '.join(parts)}"
