"""The trials of a search: the objective against each setting, and how the best score grows with the budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from normlab.metrics import higher_is_better, is_fraction
from normlab.report.figures.grid import axes_of, axis_suffix, escaped, panel_figure
from normlab.report.numbers import significant
from normlab.report.palette import Style
from normlab.runs import RunState

_WIDE = 10.0  # largest over smallest value from which an axis is logarithmic


@dataclass(frozen=True)
class Point:
    """One trial in a figure: a score, or the height at which a trial without one stands."""

    settings: Mapping[str, Any]
    height: float
    state: RunState  # finished, pruned or diverged


@dataclass(frozen=True)
class Line:
    """A scheme with its trials."""

    label: str
    style: Style
    points: Sequence[Point]


def slices_figure(lines: Sequence[Line], settings: Sequence[str], objective: str, *, joined: bool) -> go.Figure:
    """Draw the objective against each setting, one panel each; crosses diverged, rings were pruned.

    Args:
        joined: a grid: a line joins the best score at each value of the setting.
    """
    figure = panel_figure(
        [name.replace("_", " ") for name in settings],
        columns=3,
        row_height=330,
        min_width=300,
        x_title="value",
        x_axis={"matches": None, "showticklabels": True},
    )
    for index, name in enumerate(settings):
        values = [point.settings[name] for line in lines for point in line.points]
        figure.layout[f"xaxis{axis_suffix(index)}"].update(_axis_for(values))
        for line in lines:
            figure.add_traces(_slice(line, name, index, objective, joined=joined))
    return figure


def budget_figure(lines: Sequence[tuple[str, Style, Sequence[float | None]]], objective: str) -> go.Figure:
    """Draw the best score so far against the number of trials, one line per scheme."""
    figure = panel_figure([""], columns=1, row_height=300, x_title="trials")
    figure.layout.annotations = ()
    for label, style, scores in lines:
        figure.add_trace(
            go.Scatter(
                x=list(range(1, len(scores) + 1)),
                y=[significant(shown(score, objective)) for score in scores],
                mode="lines" if len(scores) > 1 else "markers",
                line={"color": style.color, "dash": style.dash, "width": 2, "shape": "hv"},
                legendgroup=label,
                hovertemplate="%{y:.4g} after %{x} trials<extra>" + escaped(label) + "</extra>",
            )
        )
    return figure


def shown(score: float | None, objective: str) -> float | None:
    """Return a share in percent, anything else as it is."""
    return 100 * score if score is not None and is_fraction(objective) else score


def _slice(line: Line, name: str, panel: int, objective: str, *, joined: bool) -> list[go.Scatter]:
    traces = []
    scored = [point for point in line.points if point.state is RunState.FINISHED]
    if joined and scored:
        best = _best_by_value(scored, name, objective)
        traces.append(
            go.Scatter(
                x=[_place(value) for value, _ in best],
                y=[significant(shown(height, objective)) for _, height in best],
                mode="lines",
                line={"color": line.style.color, "dash": line.style.dash, "width": 2},
                hoverinfo="skip",
                legendgroup=line.label,
                **axes_of(panel),
            )
        )
    for state, symbol in ((RunState.FINISHED, "circle"), (RunState.PRUNED, "circle-open"), (RunState.DIVERGED, "x")):
        points = [point for point in line.points if point.state == state]
        if points:
            traces.append(_markers(line, points, name, panel, objective, symbol))
    return traces


def _markers(line: Line, points: Sequence[Point], name: str, panel: int, objective: str, symbol: str) -> go.Scatter:
    said = {"circle": "%{y:.4g}", "circle-open": "pruned at %{y:.4g}", "x": "diverged"}[symbol]
    return go.Scatter(
        x=[_place(point.settings[name]) for point in points],
        y=[significant(shown(point.height, objective)) for point in points],
        mode="markers",
        marker={"symbol": symbol, "size": 8, "color": line.style.color},
        text=[", ".join(f"{key} {_text(value)}" for key, value in point.settings.items()) for point in points],
        hovertemplate=said + " at %{text}<extra>" + escaped(line.label) + "</extra>",
        legendgroup=line.label,
        **axes_of(panel),
    )


def _best_by_value(points: Sequence[Point], name: str, objective: str) -> list[tuple[Any, float]]:
    better = max if higher_is_better(objective) else min
    values = list({repr(point.settings[name]): point.settings[name] for point in points}.values())
    if all(_is_number(value) for value in values):
        values.sort()
    return [(v, better(point.height for point in points if point.settings[name] == v)) for v in values]


def _axis_for(values: Sequence[Any]) -> dict[str, Any]:
    """Return a logarithmic axis for positive numbers over a decade, names for what is no number."""
    if not all(_is_number(value) for value in values):
        return {"type": "category"}
    distinct = sorted(set(values))
    axis: dict[str, Any] = {}
    if distinct and distinct[0] > 0 and distinct[-1] >= _WIDE * distinct[0]:
        low, high = math.log10(distinct[0]), math.log10(distinct[-1])
        axis = {"type": "log", "range": [low - 0.05 * (high - low), high + 0.05 * (high - low)]}
    if 1 < len(distinct) <= 8:
        axis |= {"tickvals": distinct, "ticktext": [_text(value) for value in distinct]}
    elif axis:
        decades = [10.0**power for power in range(math.floor(low), math.ceil(high) + 1)]
        axis |= {"tickvals": decades, "ticktext": [f"{value:g}" for value in decades]}
    return axis


def _place(value: Any) -> Any:
    return value if _is_number(value) else escaped(str(value))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else escaped(str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
