"""Reliability diagrams: how often a tag is right, against the probability that the model gave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from normlab.plurals import plural
from normlab.report.figures.grid import escaped, panel_figure
from normlab.report.palette import Style

Bin = dict[str, Any]  # confidence, accuracy, count


def pooled(curves: Sequence[Sequence[Bin]], bins: int = 10) -> list[Bin]:
    """Return one curve for several seeds: words of a bin of confidence counted together."""
    sums = [[0.0, 0.0, 0] for _ in range(bins)]
    for curve in curves:
        for row in curve:
            totals = sums[min(int(row["confidence"] * bins), bins - 1)]
            totals[0] += row["confidence"] * row["count"]
            totals[1] += row["accuracy"] * row["count"]
            totals[2] += row["count"]
    return [{"confidence": sure / n, "accuracy": right / n, "count": int(n)} for sure, right, n in sums if n]


def reliability_figure(curves: Sequence[tuple[str, Style, Sequence[Bin]]]) -> go.Figure:
    """Draw a line per variant over bins of confidence, in percent, and the diagonal of a model that knows itself."""
    axis = {"range": [0, 101], "dtick": 20}
    figure = panel_figure(
        ["Words with the right tag, %"],
        columns=1,
        row_height=360,
        max_width=620,
        x_title="probability that the model gave its tag (%)",
        x_axis=axis,
        y_axis=axis,
    )
    figure.add_trace(
        go.Scatter(
            x=[0, 100],
            y=[0, 100],
            mode="lines",
            line={"color": "#8a929c", "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    for label, style, curve in curves:
        figure.add_trace(
            go.Scatter(
                x=[round(100 * row["confidence"], 3) for row in curve],
                y=[round(100 * row["accuracy"], 3) for row in curve],
                mode="lines+markers",
                line={"color": style.color, "dash": style.dash, "width": 2},
                marker={"color": style.color, "size": 6},
                text=[plural(row["count"], "word") for row in curve],
                hovertemplate="right %{y:.1f} % at %{x:.1f} %, %{text}<extra>" + escaped(label) + "</extra>",
                legendgroup=label,
                name=escaped(label),
            )
        )
    return figure
