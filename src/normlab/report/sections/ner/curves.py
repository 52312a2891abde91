"""How taggers learn: loss, scores of words and of entities, by epoch and by update."""

from __future__ import annotations

from normlab.report.blocks import Block, Figure, Folded, Key, Section
from normlab.report.figures.axes import log_note
from normlab.report.figures.curves import Scale, as_it_is, as_percent, curves_figure
from normlab.report.figures.updates import updates_figure
from normlab.report.view import StudyView

_PANELS: list[tuple[str, str, Scale]] = [
    ("Validation micro F1, words, %", "val/micro_f1", as_percent),
    ("Validation F1, entities, %", "val/entity_f1", as_percent),
]
_LOSSES: list[tuple[str, str, Scale]] = [
    ("Training loss, as the weights moved", "train/online_loss", as_it_is),
    ("Validation loss", "val/loss", as_it_is),
]
_HELP = (
    "One line per variant: the mean over its seeds; by epoch, a band runs from the lowest to the highest seed. A line "
    "that ends early belongs to runs that stopped early; where seeds stop at different epochs, its end stands on the "
    "seeds that went on. Loss is -log p(all tags of a sentence) in nats, averaged over sentences; without a CRF, p is "
    "the product over the words. Click a name to hide "
    "it, double-click to see it alone."
)


def section(view: StudyView) -> Section | None:
    """Show the curves once an epoch has been recorded."""
    scores = [panel for panel in _PANELS if view.has_curve(panel[1])]
    losses = [panel for panel in _LOSSES if view.has_curve(panel[1])]
    if not scores and not losses:
        return None
    keys = [Key(variant.label, variant.style) for variant in view.variants]
    blocks: list[Block] = []
    by_update: list[Block] = []
    for name, title, panels in (("scores", "Scores", scores), ("losses", "Loss", losses)):
        if panels:
            figure = curves_figure(view.variants, panels, share_y=name == "losses", log_y=name == "losses")
            if name == "scores":
                figure.update_yaxes(rangemode="normal")
            blocks.append(Figure(name, f"{title} by epoch{log_note(figure)}", figure, keys))
            by_update.append(
                Figure(f"{name}_by_update", f"{title} by update", updates_figure(view.variants, panels), keys)
            )
    blocks.append(Folded("The same against the number of updates", by_update))
    return Section("curves", "Curves", blocks, help=_HELP)
