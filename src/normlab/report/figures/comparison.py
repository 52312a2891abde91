"""Final figures side by side: ours with intervals among the published ones, and against the batch size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from normlab.report.figures.grid import axes_of, escaped, panel_figure
from normlab.report.palette import Style
from normlab.report.published import Published
from normlab.studies.statistics import Interval

_PUBLISHED = "#8a929c"


def dots_figure(
    ours: Sequence[tuple[str, Style, Interval | None]], published: Published, metric: str, *, percent: bool = True
) -> go.Figure:
    """Draw a row per variant: published results as rings, ours as a dot with its interval.

    Args:
        percent: the metric is a share, drawn in percent; else values are drawn as they are.
    """
    lowest = _lowest_shown([interval for _, _, interval in ours if interval], published) if percent else 0.0
    figure = panel_figure(
        [""],
        columns=1,
        row_height=20 + 34 * len(ours),
        x_title=f"{metric} (%)" if percent else metric,
        x_axis={"range": [lowest - 1, None], "autorange": "max"} if percent else {},
        y_axis={
            "type": "category",
            "categoryarray": [escaped(label) for label, _, _ in reversed(ours)],
            "range": [-0.6, len(ours) - 0.4],
            "automargin": True,
            "ticksuffix": "  ",
        },
    )
    figure.layout.annotations = ()
    for label, _, _ in ours:
        if points := published.get(label):
            figure.add_trace(_rings(label, points, lowest))
    for label, style, interval in ours:
        if interval is not None:
            figure.add_trace(_dot(label, style, interval) if percent else _plain_dot(label, style, interval))
    return figure


class Line(NamedTuple):
    """A line of a panel: its label, its legend's entry, how it looks, and an interval per batch size."""

    label: str
    group: str
    style: Style
    points: Sequence[tuple[int, Interval]]


def against_batch_size_figure(panels: Sequence[tuple[str, Sequence[Line]]], metric: str) -> go.Figure:
    """Draw a share against the batch size, a panel per surroundings, with intervals where there are any."""
    sizes = sorted({size for _, lines in panels for line in lines for size, _ in line.points})
    titles = [f"{metric} (%){f', {title}' if title else ''}" for title, _ in panels]
    figure = panel_figure(
        titles,
        columns=2,
        row_height=320 if len(panels) == 1 else 270,
        min_width=330,
        x_title="batch size",
        x_axis={"type": "log", "tickvals": sizes, "ticktext": [str(size) for size in sizes]},
    )
    for index, (_, lines) in enumerate(panels):
        for line in lines:
            figure.add_trace(_against_batch_size(line, index))
    return figure


def _against_batch_size(line: Line, panel: int) -> go.Scatter:
    intervals = [interval for _, interval in line.points]
    return go.Scatter(
        x=[size for size, _ in line.points],
        y=[100 * interval.mean for interval in intervals],
        error_y=_bars(intervals, line.style),
        mode="lines+markers",
        legendgroup=line.group,
        name=escaped(line.group),
        line={"color": line.style.color, "dash": line.style.dash, "width": 2},
        marker={"size": 8, "color": line.style.color, "symbol": "circle" if line.style.dash == "solid" else "diamond"},
        text=[f"n = {interval.n}" for interval in intervals],
        hovertemplate="%{y:.2f} % at batch size %{x} (%{text})<extra>" + escaped(line.label) + "</extra>",
        **axes_of(panel),
    )


def _lowest_shown(ours: Sequence[Interval], published: Published) -> float:
    """Return the left end of the axis in percent: a single very low published result must not compress the rest."""
    theirs = sorted(value for points in published.values() for _, value in points)
    typical = theirs[len(theirs) // 8 :]
    return 100 * min([*typical, *(min(interval.mean, max(interval.low or 1.0, 0.0)) for interval in ours)], default=0.0)


def _rings(label: str, points: Sequence[tuple[str, float]], lowest: float) -> go.Scatter:
    shares = [100 * value for _, value in points]
    return go.Scatter(
        x=[max(share, lowest) for share in shares],
        y=[escaped(label)] * len(points),
        mode="markers",
        marker={
            "symbol": ["circle-open" if share >= lowest else "triangle-left" for share in shares],
            "size": 9,
            "color": _PUBLISHED,
            "line": {"width": 1.6, "color": _PUBLISHED},
        },
        text=[f"{share:.2f} %: {escaped(source)}" for share, (source, _) in zip(shares, points, strict=True)],
        hovertemplate="%{text}<extra>published</extra>",
        legendgroup="published",
    )


def _dot(label: str, style: Style, interval: Interval) -> go.Scatter:
    bars: dict[str, Any] = _bars([interval], style)
    return go.Scatter(
        x=[100 * interval.mean],
        y=[escaped(label)],
        error_x=bars,
        mode="markers",
        marker={"size": 12, "color": style.color},
        hovertemplate=f"%{{x:.2f}} % (n = {interval.n})<extra>ours</extra>",
        legendgroup="ours",
    )


def _plain_dot(label: str, style: Style, interval: Interval) -> go.Scatter:
    """Return the dot of a metric that is no share: as it is, its interval not cut."""
    half = None if interval.high is None else interval.high - interval.mean
    return go.Scatter(
        x=[interval.mean],
        y=[escaped(label)],
        error_x={
            "type": "data",
            "array": [half],
            "color": style.color,
            "thickness": 2,
            "width": 5,
            "visible": bool(half),
        },
        mode="markers",
        marker={"size": 12, "color": style.color},
        hovertemplate=f"%{{x:.4g}} (n = {interval.n})<extra>ours</extra>",
        legendgroup="ours",
    )


def _bars(intervals: Sequence[Interval], style: Style) -> dict[str, Any]:
    """Return error bars in percent, cut at 0 and 100: the interval of two seeds can leave what a share can be."""
    above = [None if x.high is None else 100 * (min(x.high, 1.0) - x.mean) for x in intervals]
    below = [None if x.low is None else 100 * (x.mean - max(x.low, 0.0)) for x in intervals]
    return {
        "type": "data",
        "symmetric": False,
        "array": above,
        "arrayminus": below,
        "color": style.color,
        "thickness": 2,
        "width": 5,
        "visible": any(above),
    }
