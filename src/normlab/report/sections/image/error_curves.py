"""Training and validation curves of all variants: in one figure, or as small multiples where there are many."""

from __future__ import annotations

from normlab.report.blocks import Block, Figure, Folded, Key, Section
from normlab.report.figures.axes import log_note
from normlab.report.figures.curves import as_error, as_it_is, curves_figure
from normlab.report.figures.multiples import Lines, laid_out, line_keys, multiples_figure
from normlab.report.view import StudyView

_HELP = (
    "One line per variant: the mean over its seeds; the band runs from the lowest to the highest seed. "
    "Training is measured in evaluation mode without augmentation unless the panel says otherwise. A line "
    "that ends early belongs to a run that stopped early, diverged or is still running. Click a name to "
    "hide it, double-click to see it alone."
)


def section(view: StudyView) -> Section | None:
    """Show error and loss once an epoch has been recorded."""
    if not any(cell.epochs for cell in view.cells):
        return None
    keys = [Key(variant.label, variant.style) for variant in view.variants]
    train = "train/accuracy" if view.has_curve("train/accuracy") else "train/online_accuracy"
    if (lines := laid_out(view.variants)) is not None:
        return _many(lines, train)
    train_loss = "train/loss" if view.has_curve("train/loss") else "train/online_loss"
    how = "" if train == "train/accuracy" else ", as the weights moved, augmented"
    error = curves_figure(
        view.variants,
        [(f"Training error, %{how}", train, as_error), ("Validation error, %", "val/accuracy", as_error)],
    )
    loss = curves_figure(
        view.variants,
        [(f"Training loss{how}", train_loss, as_it_is), ("Validation loss", "val/loss", as_it_is)],
        log_y=True,
    )
    figures = [
        Figure("error", "Error by epoch", error, keys),
        Figure("loss", f"Loss by epoch{log_note(loss)}", loss, keys),
    ]
    return Section("curves", "Error curves", list(figures), help=_HELP)


def _many(lines: Lines, train: str) -> Section:
    """Show a panel per combination, validation first; training behind a line that opens it."""
    keys = line_keys(lines)
    loss = multiples_figure(lines, "val/loss", as_it_is, log_y=True)
    blocks: list[Block] = [
        Figure("error", "Validation error by epoch, %", multiples_figure(lines, "val/accuracy", as_error), keys),
        Folded(
            "Training error and validation loss",
            [
                Figure("train_error", "Training error by epoch, %", multiples_figure(lines, train, as_error), keys),
                Figure("loss", f"Validation loss by epoch{log_note(loss)}", loss, keys),
            ],
        ),
    ]
    return Section("curves", "Error curves", blocks, help=_HELP)
