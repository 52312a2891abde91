"""Which share of each layer's channels is silent on the whole validation split."""

from __future__ import annotations

from normlab.report.blocks import Block, Figure, Folded, Section
from normlab.report.figures.curves import as_percent
from normlab.report.figures.layers import layers_figure
from normlab.report.figures.multiples import legend_of
from normlab.report.layers import layers_with, split_layers, variants_with
from normlab.report.view import StudyView

_HELP = (
    "A channel is dead if its output after the ReLU is zero at every position of every validation image: it has "
    "nothing to tell the next layer, and no gradient reaches its weights through it. One line per variant, the mean "
    "over its seeds, with a band from the lowest to the highest seed unless there are many variants; a cross ends a "
    "run that diverged. All panels share their axes. A few per cent cost nothing; a share that grows is capacity "
    "lost, which a smaller learning rate or a norm would keep."
)


def section(view: StudyView) -> Section | None:
    """Show the shares once any run recorded its layers."""
    layers, variants = layers_with(view, "dead"), variants_with(view, "dead")
    if not layers:
        return None
    keys, styles = legend_of(variants)
    shown, rest = split_layers(layers)
    title = "Dead channels by epoch, % of the layer"
    figure = layers_figure(variants, shown, "dead", as_percent, styles=styles)
    blocks: list[Block] = [Figure("dead", title, figure, keys)]
    if rest:
        others = Figure("dead-rest", title, layers_figure(variants, rest, "dead", as_percent, styles=styles), keys)
        blocks.append(Folded("The other layers", [others]))
    return Section("dead", "Dead channels", blocks, help=_HELP)
