"""Cells that tables of every task have: a mean with its interval, the best of a column, the count of seeds."""

from __future__ import annotations

from collections.abc import Sequence

from normlab.metrics import has_direction, higher_is_better
from normlab.report.blocks import Cell
from normlab.report.numbers import DASH, spread_text, value_text
from normlab.report.view import Variant
from normlab.studies.statistics import Interval

SPLITS = {"train": "Training", "val": "Validation", "test": "Test"}


def metric_cells(variants: Sequence[Variant], metrics: Sequence[str]) -> list[list[Cell]]:
    """Return a row of cells per variant, the best mean of each metric marked."""
    columns = [_column(variants, metric) for metric in metrics]
    return [[column[index] for column in columns] for index in range(len(variants))]


def seeds_cell(variant: Variant) -> Cell:
    """Return how many seeds finished, and what became of the others."""
    finished, planned = variant.count("finished"), len(variant.cells)
    others = [f"{variant.count(state)} {state}" for state in ("diverged", "failed") if variant.count(state)]
    text = str(finished) if finished == planned else f"{finished} of {planned}"
    return Cell(text, detail=", ".join(others), sort=str(finished))


def interval_cell(interval: Interval | None, metric: str, *, strong: bool = False) -> Cell:
    """Return a mean with its interval's half width below."""
    if interval is None:
        return Cell(DASH)
    text, detail = value_text(interval.mean, metric), spread_text(interval, metric)
    return Cell(text, detail, sort=f"{interval.mean:.8g}", hint=f"n = {interval.n}", strong=strong)


def _column(variants: Sequence[Variant], metric: str) -> list[Cell]:
    intervals = [variant.interval(metric) for variant in variants]
    means = [interval.mean for interval in intervals if interval is not None]
    best = None
    if len(means) > 1 and has_direction(metric):
        best = max(means) if higher_is_better(metric) else min(means)
    return [
        interval_cell(interval, metric, strong=interval is not None and interval.mean == best) for interval in intervals
    ]
