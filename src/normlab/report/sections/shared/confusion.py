"""Confusion matrices on the test split, or on validation where there is no test file."""

from __future__ import annotations

from typing import Any

from normlab.plurals import plural
from normlab.report.blocks import Block, Cell, Column, Figure, Folded, Section, Table
from normlab.report.figures.confusion import confusion_figure, row_shares, summed_confusion, worst_confusion
from normlab.report.figures.multiples import MANY
from normlab.report.numbers import DASH
from normlab.report.view import StudyView

_HELP = (
    "Rows are true classes, columns predictions, counts summed over the seeds. The darker a field, the "
    "larger its share of the true class; the colour follows the square root, so that small mistakes show. "
    "A good classifier has a dark diagonal on an empty background. Hover a field for count and share."
)


def section(view: StudyView) -> Section | None:
    """Show the matrices of the variants that finished."""
    split = "test" if any(summed_confusion(variant) is not None for variant in view.variants) else "val"
    counted = [
        (variant, counts) for variant in view.variants if (counts := summed_confusion(variant, split)) is not None
    ]
    sizes = {counts.shape for _, counts in counted}
    if len(sizes) != 1:
        return None
    classes = _classes(view, sizes.pop()[0])
    figure = confusion_figure([(variant.label, counts) for variant, counts in counted], classes)
    columns = [
        Column("Variant", numeric=False),
        Column("Weakest class", numeric=False),
        Column("Its recall %"),
        Column("Most frequent mistake", numeric=False),
        Column("Share %"),
    ]
    rows = [[Cell(variant.label, style=variant.style), *_words(counts, classes)] for variant, counts in counted]
    drawn = Figure("confusion", f"Confusion on the {'test' if split == 'test' else 'validation'} split", figure)
    table = Table("confusion", columns, rows)
    blocks: list[Block] = [drawn, table]
    if len(counted) > MANY:  # so many matrices would fill the page
        blocks = [table, Folded(f"The matrices of all {plural(len(counted), 'variant')}", [drawn])]
    return Section("confusion", "Confusion matrices", blocks, help=_HELP)


def _classes(view: StudyView, count: int) -> list[str]:
    # A tagger that spells entities otherwise than its files is scored in the files' tags.
    lists = (cell.card.get(key, []) for key in ("file_classes", "classes") for cell in view.cells)
    named = (names for names in lists if len(names) == count)
    return [str(name) for name in next(named, range(count))]


def _words(counts: Any, classes: list[str]) -> list[Cell]:
    recalls = row_shares(counts).diagonal()
    weakest = int(recalls.argmin())
    cells = [Cell(classes[weakest]), Cell(f"{100 * recalls[weakest]:.1f}")]
    worst = worst_confusion(counts, classes)
    if worst is None:
        return [*cells, Cell(DASH), Cell(DASH)]
    return [*cells, Cell(f"{worst.true} taken for {worst.predicted}"), Cell(f"{100 * worst.share:.1f}")]
