"""Shares by level of hardness: a group of bars per level, one bar per variant, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from normlab.report.figures.grid import axes_of, escaped, panel_figure
from normlab.report.palette import Style
from normlab.studies.statistics import Interval

Shares = Sequence[Sequence[Interval | None]]
"""Panel -> level -> the share, None where there is none."""


def levels_figure(
    variants: Sequence[tuple[str, Style, Shares]], levels: Sequence[str], panels: Sequence[str]
) -> go.Figure:
    """Draw each variant's shares in percent, one panel per score."""
    figure = panel_figure(
        list(panels),
        columns=len(panels),
        x_title="level",
        row_height=260,
        min_width=300,
        x_axis={"type": "category"},
        y_axis={"rangemode": "tozero"},
    )
    figure.update_layout(barmode="group", bargap=0.25)
    for label, style, shares in variants:
        for panel, row in enumerate(shares):
            figure.add_trace(_bars(label, style, row, levels, panel))
    return figure


def _bars(label: str, style: Style, shares: Sequence[Interval | None], levels: Sequence[str], panel: int) -> go.Bar:
    return go.Bar(
        x=list(levels),
        y=[None if share is None else 100 * share.mean for share in shares],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [_distance(share, high=True) for share in shares],
            "arrayminus": [_distance(share, high=False) for share in shares],
            "thickness": 1.5,
            "width": 3,
            "color": "#808890",
            "visible": any(share is not None and share.low is not None for share in shares),
        },
        marker={"color": style.color},
        name=escaped(label),
        legendgroup=label,
        offsetgroup=label,
        hovertemplate="%{y:.1f} %, %{x}<extra>" + escaped(label) + "</extra>",
        **axes_of(panel),
    )


def _distance(share: Interval | None, *, high: bool) -> float:
    """Return how far the interval reaches, in percent, cut at 0 and 100."""
    if share is None or share.low is None or share.high is None:
        return 0.0
    return 100 * (min(share.high, 1.0) - share.mean if high else share.mean - max(share.low, 0.0))
