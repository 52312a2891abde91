"""For tasks without a table of their own: every final metric of the test split, or else of validation, or of none."""

from __future__ import annotations

from normlab.metrics import heading
from normlab.report.blocks import Cell, Column, Section, Table
from normlab.report.cells import metric_cells, seeds_cell
from normlab.report.view import StudyView

_HELP = (
    "Means over the finished seeds, ± half the width of the 95 % interval where there are at least two. "
    "The best of a column is bold."
)


def section(view: StudyView) -> Section | None:
    """Show the metrics once any run has finished."""
    table = metrics_table(view)
    return Section("results", "Results", [table], help=_HELP) if len(table.columns) > 2 else None


def metrics_table(view: StudyView) -> Table:
    """Return variants by final metrics."""
    metrics = [*(view.metrics("test") or view.metrics("val")), *view.metrics("")]
    columns = [Column("Variant", numeric=False), Column("Seeds")]
    columns += [Column(heading(metric)) for metric in metrics]
    entries = metric_cells(view.variants, metrics)
    rows = [
        [Cell(variant.label, style=variant.style), seeds_cell(variant), *cells]
        for variant, cells in zip(view.variants, entries, strict=True)
    ]
    return Table("metrics", columns, rows)
