"""How the weights move: norms of gradients and weights, and the effective learning rate, by layer."""

from __future__ import annotations

from collections.abc import Mapping

from normlab.report.blocks import Block, Figure, Folded, Section
from normlab.report.figures.axes import log_note
from normlab.report.figures.layers import layers_figure
from normlab.report.figures.multiples import legend_of
from normlab.report.layers import layers_with, split_layers, variants_with
from normlab.report.view import StudyView

_QUANTITIES: Mapping[str, str] = {
    "gradient_norm": "Norm of the gradient, mean over the epoch's steps",
    "weight_norm": "Norm of the weights after the epoch",
    "effective_lr": "Effective learning rate, lr / |w|²",
}
_HELP = (
    "One line per variant, the mean over its seeds, with a band from the lowest to the highest seed unless there are "
    "many variants; a cross ends a run that diverged. The panels of a figure share their axes. A gradient that is many "
    "times larger in one layer than in the next, or that grows until the run stops, is what clipping and norms are "
    "for. Where a norm follows a layer, the size of its weights does not matter to the output, only their direction; a "
    "step then turns them by an angle in proportion to lr / |w|², the effective learning rate (van Laarhoven 2017; "
    "Hoffer et al. 2018). Weights that grow are a learning rate that falls, and weight decay is a learning rate that "
    "is kept up. Without a norm that quantity means nothing and is not shown; nor is it for the output layer."
)


def section(view: StudyView) -> Section | None:
    """Show the three quantities, as far as any run recorded them."""
    blocks: list[Block] = []
    folded: list[Block] = []
    for quantity, title in _QUANTITIES.items():
        layers, variants = layers_with(view, quantity), variants_with(view, quantity)
        if not layers:
            continue
        keys, styles = legend_of(variants)
        name = quantity.replace("_", "-")
        shown, rest = split_layers(layers)
        figure = layers_figure(variants, shown, quantity, styles=styles, log_y=True)
        blocks.append(Figure(name, title + log_note(figure), figure, keys))
        if rest:
            others = layers_figure(variants, rest, quantity, styles=styles, log_y=True)
            folded.append(Figure(f"{name}-rest", title + log_note(others), others, keys))
    if folded:
        blocks.append(Folded("The other layers", folded))
    return Section("weights", "Gradients, weights and effective learning rate", blocks, help=_HELP) if blocks else None
