"""One number of each layer over the epochs: a panel per layer, a line per variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from normlab.report.figures.curves import Scale, as_it_is, epoch_axis, rounded, variant_traces
from normlab.report.figures.grid import axes_of, escaped, panel_figure
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
    """
    figure = panel_figure(
        [layer_title(layer) for layer in layers],
        columns=min(4, len(layers)) if len(layers) != 5 else 3,
        row_height=200,
        min_width=260,
        max_width=560,
        x_axis=epoch_axis(variants),
        y_axis=_log_axis(variants, layers, quantity) if log_y else {"rangemode": "tozero"},
    )
    for panel, layer in enumerate(layers):
        metric = layer_metric(layer, quantity)
        for variant in variants:
            style = styles[variant.label] if styles else variant.style
            figure.add_traces(variant_traces(variant, metric, scale, panel, style, band=len(variants) <= MANY))
            figure.add_traces(divergence_marks(variant, metric, scale, panel, style))
    return figure


def _log_axis(variants: Sequence[Variant], layers: Sequence[str], quantity: str) -> dict[str, Any]:
    """Return a logarithmic axis with a label at each power of ten, or also at 2 and 5 where these are few."""
    means = [
        v for variant in variants for layer in layers for v in variant.mean_curve(layer_metric(layer, quantity))[1]
    ]
    seen = [value for value in means if value > 0] or [1.0]
    digits = (1, 2, 5) if max(seen) < 50 * min(seen) else (1,)
    ticks = [float(f"{digit}e{power}") for power in range(-12, 9) for digit in digits]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def divergence_marks(
    variant: Variant, metric: str, scale: Scale = as_it_is, panel: int = 0, style: Style | None = None
) -> list[go.Scatter]:
    """Return a cross at the last value of each of a variant's runs that diverged."""
    ends = [
        max(curve.items())
        for cell in variant.cells
        if cell.state is RunState.DIVERGED and (curve := cell.curve(metric))
    ]
    if not ends:
        return []
    return [
        go.Scatter(
            x=[epoch for epoch, _ in ends],
            y=rounded(scale(value) for _, value in ends),
            mode="markers",
            marker={"symbol": "x", "size": 9, "color": (style or variant.style).color},
            legendgroup=variant.label,
            hovertemplate="diverged after epoch %{x}<extra>" + escaped(variant.label) + "</extra>",
            **axes_of(panel),
        )
    ]
