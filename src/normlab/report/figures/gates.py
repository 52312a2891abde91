"""Where the gates of batch-instance norm stand over the epochs: a heat map per layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from normlab.report.figures.curves import epoch_axis
from normlab.report.figures.grid import axes_of, panel_figure
from normlab.report.layers import layer_metric, layer_title
from normlab.report.palette import faded
from normlab.report.view import Variant

_BINS = 10


def gates_figure(variant: Variant, layers: Sequence[str]) -> go.Figure:
    """Draw, for each layer, epochs across and gate values upwards; the colour is the share of the layer's gates."""
    figure = panel_figure(
        [layer_title(layer) for layer in layers],
        columns=4,
        row_height=150,
        min_width=215,
        max_width=560,
        x_axis={**epoch_axis([variant]), "showgrid": False},
        y_axis={"range": [0, 1], "tickvals": [0, 0.5, 1], "showgrid": False},
    )
    color = variant.style.color
    for panel, layer in enumerate(layers):
        epochs, shares = gate_shares(variant, layer)
        figure.add_trace(
            go.Heatmap(
                x=epochs,
                y=[(index + 0.5) / _BINS for index in range(_BINS)],
                z=shares.round(4).tolist(),
                zmin=0,
                zmax=1,
                colorscale=[[0.0, faded(color, 0)], [0.1, faded(color, 0.35)], [1.0, faded(color, 1)]],
                showscale=False,
                hovertemplate="%{z:.1%} of the gates near %{y:.2f} at epoch %{x}<extra></extra>",
                **axes_of(panel),
            )
        )
    return figure


def gate_shares(variant: Variant, layer: str) -> tuple[list[int], np.ndarray]:
    """Return the epochs, and the share of a layer's gates in each bin, (10, epochs), the mean over the seeds."""
    curves = [variant.mean_curve(layer_metric(layer, f"gate/{index}")) for index in range(_BINS)]
    counts = np.array([means for _, means, _, _ in curves])
    return curves[0][0], counts / np.maximum(counts.sum(0, keepdims=True), 1e-12)
