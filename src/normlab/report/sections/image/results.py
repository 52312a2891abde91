"""The main table: every variant on the three splits, in accuracy, micro and macro F1 and loss."""

from __future__ import annotations

from collections.abc import Sequence

from normlab.metrics import has_direction, heading, higher_is_better
from normlab.report.blocks import Cell, Column, Section, Table
from normlab.report.numbers import DASH, spread_text, value_text
from normlab.report.view import StudyView, Variant
from normlab.studies.statistics import Interval

SPLITS = {"train": "Training", "val": "Validation", "test": "Test"}
METRICS = ("accuracy", "micro_f1", "macro_f1", "loss")

_HELP = (
    "Each figure is the mean over the finished seeds, ± half the width of its 95 % interval where there "
    "are at least two. The best of a column is bold, which is not yet a proof: see the summary for what "
    "is settled. All splits are measured without augmentation, with the weights that the validation split "
    "chose; the test split was read once. With one label per image, micro F1 equals the accuracy."
)


def section(view: StudyView) -> Section | None:
    """Show the table once any run has finished."""
    if not any(variant.trained for variant in view.variants):
        return None
    return Section("results", "Results on the three splits", [splits_table(view)], help=_HELP)


def splits_table(view: StudyView) -> Table:
    """Return variants by splits and metrics; splits or metrics that no run has are left out."""
    present = {metric for split in SPLITS for metric in view.metrics(split)}
    chosen = [
        (split, metric) for split in ("test", "val", "train") for metric in METRICS if f"{split}/{metric}" in present
    ]
    columns = [Column("Variant", numeric=False), Column("Seeds")]
    columns += [Column(heading(metric, short=True), group=SPLITS[split]) for split, metric in chosen]
    entries = metric_cells(view.variants, [f"{split}/{metric}" for split, metric in chosen])
    rows = [
        [Cell(variant.label, style=variant.style), seeds_cell(variant), *cells]
        for variant, cells in zip(view.variants, entries, strict=True)
    ]
    return Table("splits", columns, rows)


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
