"""The state of the cells, while some are unfinished or failed."""

from __future__ import annotations

from normlab.plurals import plural
from normlab.report.blocks import Cell, Column, Section, Table, Text
from normlab.report.numbers import DASH
from normlab.report.view import CellView, StudyView
from normlab.runs import RunState

_HELP = (
    "Diverged is a result: the loss became infinite or not a number, and the run counts as a loss in comparisons. "
    "Failed, interrupted and waiting runs count nowhere; run the study again and they are finished."
)


def section(view: StudyView) -> Section | None:
    """List the cells that are not finished; None if there are none."""
    rows = [
        [
            Cell(variant.label, style=variant.style),
            Cell(str(cell.seed)),
            Cell(cell.state),
            Cell(_epochs(cell)),
            Cell(note(cell)),
        ]
        for variant in view.variants
        for cell in variant.cells
        if cell.state is not RunState.FINISHED
    ]
    if not rows:
        return None
    columns = [
        Column("Variant", numeric=False),
        Column("Seed"),
        Column("State", numeric=False),
        Column("Epochs"),
        Column("What happened", numeric=False),
    ]
    finished = len(view.cells) - len(rows)
    text = Text(
        f"{finished} of {plural(len(view.cells), 'run')} {'is' if finished == 1 else 'are'} finished. The state of "
        "the others:"
    )
    return Section("progress", "Unfinished runs", [text, Table("unfinished", columns, rows)], help=_HELP)


def note(cell: CellView) -> str:
    """Return what a person needs to know about a cell that is not finished."""
    if diverged := cell.result.get("diverged"):
        return f"diverged at step {diverged.get('step', '?')}: {diverged.get('reason', '')}"
    if error := cell.status.get("error"):
        return str(error)
    return DASH


def _epochs(cell: CellView) -> str:
    planned = cell.config.get("epochs")
    return f"{len(cell.epochs)} of {planned}" if planned else DASH
