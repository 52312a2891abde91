"""Which metrics of other programs' files are in percent: normlab's own are fractions.

A value above 1 is a percentage. One of at most 1 is a fraction, unless others of its metric are percentages: 0.87
beside 87.1 may be the same result or one a hundredth of it. No number tells which, so it is asked for: percent signs
in the file, or `--percent`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from normlab import metrics
from normlab.errors import UserError, did_you_mean
from normlab.studies.foreign import names
from normlab.studies.foreign.columns import Roles
from normlab.studies.foreign.rows import measured_columns
from normlab.studies.foreign.table_file import Table
from normlab.studies.foreign.training import Training

_Largest = tuple[float, str, str]  # of a metric in a training: absolute value, the metric's name, the training's place


def with_percent_signs(table: Table, roles: Roles, headline: str) -> set[str]:
    """Return the metrics whose numbers carry percent signs, whatever their size.

    Raises: UserError where small numbers of a metric carry them and others do not.
    """
    signed: set[str] = set()
    for metric, column, _ in measured_columns(table, roles, headline):
        if isinstance(metric, str):
            if metrics.is_fraction(metric) and table.is_in_percent(column):
                signed.add(metric)
        elif table.columns[column].has("%"):
            codes, named = metric
            for code, name in enumerate(named):
                if metrics.is_fraction(name) and table.is_in_percent(column, np.flatnonzero(codes == code).tolist()):
                    signed.add(name)
    return signed


def told_in_percent(asked: Iterable[str], trainings: Sequence[Training]) -> set[str]:
    """Return the metrics that a user says are in percent: a name without a split stands for all splits.

    Raises: UserError naming the nearest metric, or one that is no fraction.
    """
    known = list(dict.fromkeys(name for training in trainings for name in training.measured()))
    told: set[str] = set()
    for given in asked:
        wanted = names.metric_name(given)
        meant = {name for name in known if wanted in (name, _bare(name))}
        if not meant:
            raise UserError(f"--percent {given}: no such metric: {did_you_mean(wanted, known)}")
        if not metrics.is_fraction(wanted):
            raise UserError(f"--percent {given}: {wanted} is not a fraction, so it has no percentages: leave it out")
        told |= meant
    return told


def as_fractions(path: Path, trainings: Sequence[Training], told: Collection[str]) -> list[str]:
    """Divide by 100 what is a fraction for us and was written in percent; return a line for each such metric.

    Args:
        told: metrics that are known to be in percent, however small.
    Raises: UserError where one metric has percentages and what may be fractions, or numbers that are neither.
    """
    largest = _largest(trainings)
    in_percent = set(told)
    for bare, values in largest.items():
        if values[-1][0] > 100:
            raise UserError(
                f"{path}: '{bare}' reaches {values[-1][0]:g}, but is a fraction or a percentage: correct it, or give "
                "the column another name"
            )
        _refuse_mixed(bare, [each for each in values if each[1] not in told])
        in_percent |= {name for value, name, _ in values if value > 1}
    for training in trainings if in_percent else ():
        for name in training.measured():
            if name in in_percent:
                training.divide(name, 100)
    return [line for bare, values in sorted(largest.items()) for line in _said(bare, values, in_percent)]


def _largest(trainings: Sequence[Training]) -> dict[str, list[_Largest]]:
    """Return bare name -> the largest number of each training's metrics that are fractions, sorted; 0 tells nothing."""
    largest: dict[str, list[_Largest]] = defaultdict(list)
    for training in trainings:
        for name in training.measured():
            if metrics.is_fraction(name):
                values = np.abs(training.numbers(name))
                top = float(np.max(values[np.isfinite(values)], initial=0.0))
                if top > 0:
                    largest[_bare(name)].append((top, name, training.where))
    return {bare: sorted(values, key=lambda each: each[0]) for bare, values in largest.items()}


def _refuse_mixed(bare: str, values: Sequence[_Largest]) -> None:
    if not values or values[0][0] > 1 or values[-1][0] <= 1:
        return
    (small, name, where), (large, other, there) = values[0], values[-1]
    raise UserError(
        f"{where}: {name} is at most {small:g} here, but {other} is {large:g} in {there}: a fraction beside a "
        f"percentage? Write all of {bare} one way; or, if every number of it is a percentage, say --percent {other}"
    )


def _said(bare: str, values: Sequence[_Largest], in_percent: Collection[str]) -> list[str]:
    """Return the lines that say what was divided: one if it is all of a metric, else one for each split."""
    divided: dict[str, float] = {name: value for value, name, _ in values if name in in_percent}  # sorted: the largest
    if divided and len(divided) == len({name for _, name, _ in values}):
        divided = {bare: max(divided.values())}
    return [f"{name} is in percent (up to {value:g}) and was divided by 100" for name, value in divided.items()]


def _bare(name: str) -> str:
    return name.rpartition("/")[2]
