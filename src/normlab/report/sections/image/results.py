"""The main table: every variant on the three splits, in accuracy, micro and macro F1 and loss."""

from __future__ import annotations

from normlab.metrics import heading
from normlab.report.blocks import Cell, Column, Section, Table
from normlab.report.cells import SPLITS, metric_cells, seeds_cell
from normlab.report.view import StudyView

METRICS = ("accuracy", "micro_f1", "macro_f1", "loss")

_HELP = (
    "Each figure is the mean over the finished seeds, ± half the width of its 95 % interval where there "
    "are at least two. The best of a column is bold, which is not yet a proof: see the summary for what "
    "is decided. All splits are measured without augmentation, with the weights that the validation split "
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
