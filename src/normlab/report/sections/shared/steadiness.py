"""How steady a variant's score is, over seeds and over test examples, and how soon its curve reaches a common level."""

from __future__ import annotations

import statistics
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from normlab.errors import UserError
from normlab.metrics import heading, is_fraction, lower_is_better, title_of
from normlab.report.blocks import Block, Cell, Column, Section, Table, Text
from normlab.report.numbers import DASH, duration, finite, value_text
from normlab.report.view import CellView, StudyView, Variant
from normlab.studies.rankings import read_predictions
from normlab.studies.statistics import Deviations, Reached, both_deviations, time_to_target

_HELP = (
    "Two deviations answer two questions. Over seeds: the standard deviation of the runs' scores; how far another seed "
    "would lie. Over test examples: the standard error of the mean score, were the test examples drawn anew; how far "
    "another test set of this size would move it (Miller 2024). A difference that is small beside it may vanish "
    "on other examples, however many seeds agree. Time to the level: the median over a variant's runs of the first "
    "epoch whose validation value is as good; runs that never reach it count as later than all others. The level is "
    "the median of all runs' best values, so that about half of them reach it."
)


class Target(NamedTuple):
    """The metric of a curve, and the level of it that runs are timed to."""

    metric: str
    level: float


def section(view: StudyView) -> Section | None:
    """Show the table once there are two seeds, predictions of the test split, or curves."""
    target = common_level(view)
    deviations = {variant.label: deviations_of(view, variant) for variant in view.variants}
    if target is None and not any(deviations.values()) and len(view.seeds) < 2:
        return None
    blocks: list[Block] = []
    if target is not None:
        level = f"{value_text(target.level, target.metric)}{' %' if is_fraction(target.metric) else ''}"
        blocks.append(Text(f"The level: {title_of(target.metric)} of {level}, the median of all runs' best values."))
    blocks.append(steadiness_table(view, deviations, target))
    return Section("steadiness", "Spread and speed of learning", blocks, help=_HELP)


def steadiness_table(view: StudyView, deviations: dict[str, Deviations | None], target: Target | None) -> Table:
    """Return a row for each variant; columns that would be empty are left out."""
    metric = view.headline
    unit = "percentage points" if is_fraction(metric) else "in the metric's own unit"
    clock = "Epoch" if view.study.clock == "epoch" else view.study.clock.capitalize()
    columns = [
        Column("Variant", numeric=False),
        Column(heading(metric)),
        Column("Over seeds", group="Deviation", hint=f"standard deviation of the runs' scores, {unit}"),
        Column("Over test examples", group="Deviation", hint=f"standard error of the mean score, {unit}"),
        Column("Test examples"),
        Column(f"{clock} that reaches it", group="The level", hint="median over the variant's runs"),
        Column("Time to it", group="The level", hint="median of the runs that reach it, their measurements included"),
        Column("Runs", group="The level", hint="that reach it"),
    ]
    rows = [_row(view, variant, deviations[variant.label], target) for variant in view.variants]
    filled = [index for index in range(len(columns)) if any(row[index].text != DASH for row in rows)]
    return Table("steadiness", [columns[index] for index in filled], [[row[index] for index in filled] for row in rows])


def deviations_of(view: StudyView, variant: Variant) -> Deviations | None:
    """Return both deviations over the finished runs whose test predictions are of the same examples; None without any.

    Only where the score is a mean over examples, the accuracy: F1 is none.
    """
    if view.headline != "test/accuracy" or not view.study.task:
        return None
    folders = {cell.name: cell.folder for cell in view.study.cells}
    scores: list[np.ndarray] = []
    labels: list[int] | None = None
    for cell in variant.trained:
        try:
            read = read_predictions(folders[cell.name])
        except UserError:
            continue
        labels = read.labels if labels is None else labels
        if read.labels == labels and len(labels) > 1:
            scores.append(np.equal(read.labels, read.predicted))
    return both_deviations(np.array(scores)) if scores else None


def common_level(view: StudyView) -> Target | None:
    """Return the median of all runs' best values of the curve that stands for the headline; None without curves."""
    metric = next(
        (name for name in (f"val/{view.headline.rpartition('/')[2]}", view.headline) if view.has_curve(name)), ""
    )
    best = min if metric and lower_is_better(metric) else max
    curves = ([value for _, value in cell.points(metric)] for cell in view.cells if metric)
    tops = [best(curve) for curve in curves if len(curve) > 1]
    return Target(metric, statistics.median(tops)) if len(tops) > 1 else None


def reached_by(variant: Variant, target: Target) -> tuple[Reached, list[float]]:
    """Return when a variant's runs reach the level, and how many seconds of training those took that do."""
    higher = not lower_is_better(target.metric)
    curves = (_curve(cell, target.metric) for cell in variant.cells if cell.epochs)
    reached = time_to_target(curves, target.level, higher=higher)
    return reached, [
        seconds for cell in variant.cells if (seconds := _seconds(cell, target, higher=higher)) is not None
    ]


def _curve(cell: CellView, metric: str) -> dict[float, float]:
    return {float(epoch): value for epoch, value in cell.curve(metric).items()}


def _seconds(cell: CellView, target: Target, *, higher: bool) -> float | None:
    if any(finite(record.get("seconds")) is None for record in cell.epochs):
        return None
    times = [finite(record.get("seconds")) for record in cell.epochs]
    total = dict(
        zip((record["epoch"] for record in cell.epochs), accumulate(time or 0.0 for time in times), strict=True)
    )
    when = time_to_target([_curve(cell, target.metric)], target.level, higher=higher).when
    return total[when[0]] if when else None


def _row(view: StudyView, variant: Variant, deviations: Deviations | None, target: Target | None) -> list[Cell]:
    interval, metric = variant.interval(view.headline), view.headline
    cells = [Cell(variant.label, style=variant.style)]
    cells.append(_number(None if interval is None else interval.mean, metric))
    cells.append(_number(None if interval is None else interval.std, metric))
    cells.append(_number(None if deviations is None else deviations.over_items, metric))
    cells.append(Cell(DASH if deviations is None else f"{deviations.items:,}"))
    if target is None:
        return [*cells, *[Cell(DASH)] * 3]
    reached, seconds = reached_by(variant, target)
    median = statistics.median(seconds) if seconds else None
    cells.append(Cell(DASH if reached.median is None else f"{reached.median:g}"))
    cells.append(Cell(duration(median), sort="" if median is None else f"{median:.6g}"))
    cells.append(Cell(f"{len(reached.when)} of {reached.n}" if reached.n else DASH))
    return cells


def _number(value: float | None, metric: str) -> Cell:
    return Cell(DASH) if value is None else Cell(value_text(value, metric), sort=f"{value:.8g}")
