"""How the features spread over the epochs, per variant: the penultimate ones first, then those of every layer."""

from __future__ import annotations

from normlab.plurals import plural
from normlab.report.blocks import Block, Cell, Column, Figure, Folded, Section, Table
from normlab.report.figures.depth import depth_figure
from normlab.report.figures.multiples import MANY
from normlab.report.figures.percentiles import LEVELS, percentiles_figure
from normlab.report.layers import layer_title, layers_with, split_layers, variants_with
from normlab.report.numbers import DASH
from normlab.report.view import StudyView, Variant

_HELP = (
    "The light band runs from the 1st to the 99th percentile of all penultimate activations on the "
    "validation split, the dark one from the 20th to the 80th, each the mean over the seeds. All panels "
    "share their axes. A band that keeps its width means that the scheme holds the distribution; one that "
    "widens without end is the failure that normalization is meant to prevent. A variant far outside the "
    "others' range is cut off, and its panel names its largest value; a cross says how many runs diverged and in "
    "which epoch, where their bands end. Where every layer was recorded, the second figure follows the "
    "features through the network after the last epoch, and the others follow one layer each over the epochs, "
    "on axes of their own. A layer is a convolution with its norm, its shortcut and its ReLU, so its values "
    "are never negative and often zero."
)


def section(view: StudyView) -> Section | None:
    """Show the small multiples if any run recorded percentiles."""
    shown = [variant for variant in view.variants if variant.mean_curve("features/p99")[0]]
    if not shown:
        return None
    figure = Figure(
        "percentiles", "Penultimate features: percentiles 1, 20, 80, 99 by epoch", percentiles_figure(shown)
    )
    blocks: list[Block] = [figure, last_epoch_table(shown)]
    layers = _by_layer(view)
    if len(shown) > MANY:
        blocks = [last_epoch_table(shown), Folded(f"The curves of all {plural(len(shown), 'variant')}", [figure])]
        layers = [Folded(f"Layer by layer, all {plural(len(shown), 'variant')}", layers)] if layers else []
    blocks += layers
    return Section("percentiles", "Evolution of the feature distribution", blocks, help=_HELP)


def _by_layer(view: StudyView) -> list[Block]:
    """Return the figures of the layers: the whole depth, the last layer of each stage, and the rest folded."""
    layers, variants = layers_with(view, "p99"), variants_with(view, "p99")
    if not layers:
        return []
    shown, rest = split_layers(layers)
    depth = Figure("depth", "All layers after the last epoch: percentiles by depth", depth_figure(variants, layers))
    blocks: list[Block] = [depth, *(_layer_figure(variants, layer) for layer in shown)]
    return [*blocks, Folded("The other layers", [_layer_figure(variants, layer) for layer in rest])] if rest else blocks


def _layer_figure(variants: list[Variant], layer: str) -> Figure:
    name = "percentiles-" + layer.replace(".", "-")
    return Figure(name, f"{layer_title(layer)}: percentiles by epoch", percentiles_figure(variants, f"layers/{layer}"))


def last_epoch_table(variants: list[Variant]) -> Table:
    """Return the percentiles at each variant's first and last recorded epoch."""
    columns = [Column("Variant", numeric=False)]
    for group in ("First epoch", "Last epoch"):
        columns += [Column(f"{int(level[1:])} %", group=group) for level in LEVELS]
    rows = []
    for variant in variants:
        curves = [variant.mean_curve(f"features/{level}")[1] for level in LEVELS]
        cells = [_cell(curve, index) for index in (0, -1) for curve in curves]
        rows.append([Cell(variant.label, style=variant.style), *cells])
    return Table("percentiles", columns, rows)


def _cell(curve: list[float], index: int) -> Cell:
    return Cell(f"{curve[index]:.3g}", sort=f"{curve[index]:.8g}") if curve else Cell(DASH)
