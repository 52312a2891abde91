"""What batch-instance norm learns: where its gates stand, layer by layer, over the epochs."""

from __future__ import annotations

from normlab.report.blocks import Block, Figure, Folded, Section
from normlab.report.figures.gates import gates_figure
from normlab.report.layers import layers_with, split_layers, variants_with
from normlab.report.view import StudyView

_HELP = (
    "Batch-instance norm has a gate per channel: at 1 (top) the channel is batch-normalised, at 0 (bottom) "
    "instance-normalised, which removes an image's own style. Each column is the histogram of a layer's gates after "
    "an epoch, in ten bins, the mean over the seeds: the fuller the colour, the larger the share of gates in the bin. "
    "All gates start at 1. Colour that moves down shows a layer that learns to ignore style; colour that gathers at "
    "both ends shows channels that take sides."
)


def section(view: StudyView) -> Section | None:
    """Show the histograms of every variant that has gates."""
    layers = layers_with(view, "gate")
    if not layers:
        return None
    shown, rest = split_layers(layers)
    blocks: list[Block] = []
    for index, variant in enumerate(variants_with(view, "gate_at_1")):
        title = f"{variant.label}: gates by epoch"
        blocks.append(Figure(f"gates-{index}", title, gates_figure(variant, shown)))
        if rest:
            others = Figure(f"gates-{index}-rest", title, gates_figure(variant, rest))
            blocks.append(Folded("The other layers", [others]))
    return Section("gates", "Gates of batch-instance norm", blocks, help=_HELP)
