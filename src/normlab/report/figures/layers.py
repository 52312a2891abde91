"""One number of each layer over the epochs: a panel per layer, a line per variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from normlab.report.figures.axes import log_axis
from normlab.report.figures.curves import Scale, as_it_is, drawn_values, epoch_axis, rounded, variant_traces
from normlab.report.figures.grid import Trace, escaped, panel_figure, scatter
from normlab.report.figures.multiples import MANY
from normlab.report.layers import layer_metric, layer_title
from normlab.report.palette import Style
from normlab.report.view import Variant
from normlab.runs import RunState


def layers_figure(
    variants: Sequence[Variant],
    layers: Sequence[str],
    quantity: str,
    scale: Scale = as_it_is,
    *,
    styles: Mapping[str, Style] | None = None,
    log_y: bool = False,
) -> go.Figure:
    """Draw a quantity of several layers on shared axes; a cross ends the line of a run that diverged.

    Args:
        styles: how each variant's line looks, by its label; default its own style. More than `MANY` have no bands.
        log_y: the y axis is logarithmic, where values span at least a factor of 3.
    """
    metrics = [layer_metric(layer, quantity) for layer in layers] if log_y else []
    seen = [value for metric in metrics for value in drawn_values(variants, metric, scale)]
    figure = panel_figure(
        [layer_title(layer) for layer in layers],
        columns=min(4, len(layers)) if len(layers) != 5 else 3,
        row_height=200,
        min_width=260,
        max_width=560,
        x_axis=epoch_axis(variants),
        y_axis=log_axis(seen) if log_y else {"rangemode": "tozero"},
    )
    traces: list[Trace] = []
    for panel, layer in enumerate(layers):
        metric = layer_metric(layer, quantity)
        for variant in variants:
            style = styles[variant.label] if styles else variant.style
            traces += variant_traces(variant, metric, scale, panel, style, band=len(variants) <= MANY)
            traces += divergence_marks(variant, metric, scale, panel, style)
    figure.add_traces(traces)
    return figure


def divergence_marks(
    variant: Variant, metric: str, scale: Scale = as_it_is, panel: int = 0, style: Style | None = None
) -> list[Trace]:
    """Return a cross at the last value of each of a variant's runs that diverged."""
    ends = [
        max(curve.items())
        for cell in variant.cells
        if cell.state is RunState.DIVERGED and (curve := cell.curve(metric))
    ]
    if not ends:
        return []
    return [
        scatter(
            panel,
            x=[epoch for epoch, _ in ends],
            y=rounded(scale(value) for _, value in ends),
            mode="markers",
            marker={"symbol": "x", "size": 9, "color": (style or variant.style).color},
            legendgroup=variant.label,
            hovertemplate="diverged after epoch %{x}<extra>" + escaped(variant.label) + "</extra>",
        )
    ]
