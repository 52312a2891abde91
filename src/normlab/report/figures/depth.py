"""The features through the depth of the network: percentiles by layer after the last epoch, a panel per variant."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from normlab.report.figures.grid import Trace, annotate, axis_suffix, escaped, panel_figure
from normlab.report.figures.percentiles import (
    LABEL_MARGIN,
    LEVELS,
    band_traces,
    beyond,
    common_top,
    level_labels,
    panel_label,
)
from normlab.report.layers import layer_metric, layer_title
from normlab.report.view import Variant


def depth_figure(variants: Sequence[Variant], layers: Sequence[str]) -> go.Figure:
    """Draw the last epoch's percentiles of every layer, from the input to the output, on shared axes."""
    figure = panel_figure(
        [panel_label(variant) for variant in variants],
        columns=4,
        x_title="layer",
        row_height=190,
        min_width=165,
        max_width=560,
        x_axis={"dtick": 2 if len(layers) <= 16 else 5, "range": [0.5, len(layers) + 0.5]},
    )
    figure.update_layout(margin={"r": LABEL_MARGIN})
    positions = list(range(1, len(layers) + 1))
    profiles = [last_percentiles(variant, layers) for variant in variants]
    top = 1.05 * common_top([max(profile["p99"], default=0.0) for profile in profiles])
    bottom = min([0.0, *(value for profile in profiles for value in profile["p01"] if value > -top)])
    hints = [escaped(layer_title(layer)) for layer in layers]
    traces: list[Trace] = []
    notes: list[dict[str, object]] = []
    for panel, (variant, profile) in enumerate(zip(variants, profiles, strict=True)):
        curves = {level: (positions, values) for level, values in profile.items()}
        traces += [{**trace, "text": hints} for trace in band_traces(curves, variant.style, panel, "%{text}")]
        highest = max(profile["p99"], default=0.0)
        if highest > top:
            notes.append(beyond(highest, panel))
        ends = {level: values[-1] for level, values in profile.items() if values}
        notes += level_labels(ends, 1.05 * bottom, top, panel)
        figure.layout[f"yaxis{axis_suffix(panel)}"].range = [1.05 * bottom, top]
    figure.add_traces(traces)
    annotate(figure, notes)
    return figure


def last_percentiles(variant: Variant, layers: Sequence[str]) -> dict[str, list[float]]:
    """Return level -> value of each layer after the variant's last recorded epoch, the mean over its seeds there."""
    return {
        level: [curve[-1] for layer in layers if (curve := variant.mean_curve(layer_metric(layer, level))[1])]
        for level in LEVELS
    }
