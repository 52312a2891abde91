"""From a study's folder to numbers by axis values: what tables, figures and claims all start from.

Cells that diverged, failed or wait are counted in every row; pairs are made of the seeds that
finished on both sides.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from normlab.metrics import SPLITS, higher_is_better, is_fraction
from normlab.runs import RunState
from normlab.studies.statistics import Interval, mean_interval

if TYPE_CHECKING:
    from normlab.studies.study import Study, StudyCell

Values = Mapping[str, Any]

__all__ = [
    "Row",
    "axis_values",
    "cells_with",
    "final_metrics",
    "final_value",
    "headline_of",
    "higher_is_better",
    "is_fraction",
    "known_metrics",
    "label_of",
    "metric_by_seed",
    "paired_values",
    "plain_table",
    "product",
    "study_table",
]


@dataclass(frozen=True)
class Row:
    """One combination of axis values, all seeds together.

    Attributes:
        label: the values for a person, e.g. "batch, batch_size 8".
        n: planned seeds; `finished` + `diverged` + `failed` + those still waiting or running.
        metrics: metric -> interval over the finished seeds, None if none of them has it.
    """

    values: dict[str, Any]
    label: str
    n: int
    finished: int
    diverged: int
    failed: int
    metrics: dict[str, Interval | None]


def study_table(study: Study, metrics: Iterable[str]) -> list[Row]:
    """Return a row per combination of axis values, in the plan's order."""
    names = list(metrics)
    return [_row(values, cells, names, study.overlap) for values, cells in study.groups()]


def plain_table(study: Study) -> list[dict[str, Any]]:
    """Return the headline metric on each split, macro F1 and time as plain values; fractions, not percentages.

    Other programs may name the headline metric without a split.
    """
    headline = headline_of(study)
    named = {(cell.result or {})["headline"] for cell in study.finished()} - {f"{split}/{headline}" for split in SPLITS}
    names = [*named, *(f"{split}/{headline}" for split in SPLITS if not named)]
    return [asdict(row) for row in study_table(study, [*names, "test/macro_f1", "seconds"])]


def headline_of(study: Study) -> str:
    """Return the bare name of the metric that the study's results lead with."""
    for cell in study.finished():
        return str((cell.result or {})["headline"]).rpartition("/")[2]
    return "accuracy"


def metric_by_seed(study: Study, values: Values, metric: str) -> dict[int, float]:
    """Return seed -> final value over the finished cells with exactly these axis values.

    `metric` is a name in a result's `metrics` ("test/accuracy") or one of its other numbers ("seconds").
    Diverged and unfinished cells have none; `study_table` counts them.
    Raises: ValueError if `values` leaves an axis open, so that a seed has several cells.
    """
    return _by_seed(cells_with(study, values), metric)


def paired_values(study: Study, values_a: Values, values_b: Values, metric: str) -> tuple[list[float], list[float]]:
    """Return the metric of two combinations over the seeds that finished in both, sorted by seed."""
    a, b = metric_by_seed(study, values_a, metric), metric_by_seed(study, values_b, metric)
    seeds = sorted(a.keys() & b.keys())
    return [a[seed] for seed in seeds], [b[seed] for seed in seeds]


def cells_with(study: Study, values: Values) -> list[StudyCell]:
    """Return the cells whose axis values agree with `values`; ValueError if a seed occurs twice."""
    cells = [cell for cell in study.cells if all(cell.values.get(axis) == value for axis, value in values.items())]
    if len({cell.seed for cell in cells}) < len(cells):
        open_axes = ", ".join(axis for axis in study.axes if axis not in values)
        raise ValueError(f"{dict(values)} names several combinations: give a value for {open_axes}")
    return cells


def final_value(cell: StudyCell, metric: str) -> float | None:
    """Return a finished cell's number; None if it is unfinished, diverged, or lacks a finite value."""
    result = cell.result
    if result is None or result["state"] != RunState.FINISHED:
        return None
    value = result["metrics"].get(metric, result.get(metric))
    return float(value) if _is_number(value) and math.isfinite(value) else None


def axis_values(study: Study) -> dict[str, list[Any]]:
    """Return axis -> its values as the cells spell them (a plan may say `bn` where its cells say `batch`)."""
    axes: dict[str, list[Any]] = {axis: [] for axis in study.axes}
    for cell in study.cells:
        for axis, value in cell.values.items():
            if value not in axes[axis]:
                axes[axis].append(value)
    return axes


def product(values: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the axes' values; the one empty combination if there are no axes."""
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def known_metrics(study: Study) -> tuple[set[str], set[str]]:
    """Return the names that finished cells have: in their results, and in their epochs' records."""
    records = (cell.folder.metrics()[:1] for cell in study.finished() if cell.state is RunState.FINISHED)
    return final_metrics(study), {name for first in records for record in first for name in record}


def final_metrics(study: Study) -> set[str]:
    """Return the names of the numbers in finished cells' results: `known_metrics` without reading every epoch."""
    results = (cell.result or {} for cell in study.finished() if cell.state is RunState.FINISHED)
    return {
        name
        for result in results
        for name in (*result["metrics"], *(each for each, value in result.items() if _is_number(value)))
    }


def label_of(values: Values) -> str:
    """Return axis values for a person: norms and variants by their bare names, other axes with theirs."""
    parts = [str(value) if axis in {"norm", "variant"} else f"{axis} {value}" for axis, value in values.items()]
    return ", ".join(parts) or "all"


def _row(values: dict[str, Any], cells: list[StudyCell], metrics: list[str], overlap: float) -> Row:
    states = [cell.state for cell in cells]
    intervals = {metric: _interval(_by_seed(cells, metric), overlap) for metric in metrics}
    counts = {state.value: states.count(state) for state in (RunState.FINISHED, RunState.DIVERGED, RunState.FAILED)}
    return Row(values, label_of(values), len(cells), metrics=intervals, **counts)


def _by_seed(cells: Iterable[StudyCell], metric: str) -> dict[int, float]:
    values = ((cell.seed, final_value(cell, metric)) for cell in cells)
    return {seed: value for seed, value in values if value is not None}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _interval(by_seed: Mapping[int, float], overlap: float) -> Interval | None:
    return mean_interval(list(by_seed.values()), overlap=overlap) if by_seed else None
