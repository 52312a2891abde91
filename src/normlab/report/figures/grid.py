"""Panels side by side, which the browser lays out again when the page is narrow.

Plotly's subplots keep their columns at any width. So a figure carries in `layout.meta.grid` how many panels
it has and how they may stand; `page.js` computes the axes' domains from it for the width at hand.
`panel_figure` does the same for the widest layout, so that a figure is whole outside the report too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

Trace = dict[str, Any]
"""A trace as plotly's JSON has it: a figure checks it once, as it would check a `go.Scatter` again, copy included."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TEXT_SIZE = 12
_ROW_GAP = 54  # pixels between rows of panels: a title and tick labels


def panel_figure(
    titles: list[str],
    *,
    columns: int,
    x_title: str = "epoch",
    row_height: int = 260,
    share_y: bool = True,
    min_width: int = 280,
    max_width: int | None = None,
    x_axis: dict[str, Any] | None = None,
    y_axis: dict[str, Any] | None = None,
    legend: bool = False,
) -> go.Figure:
    """Return an empty figure with one panel per title.

    Args:
        columns: how many panels stand in a row at most.
        row_height: height of a panel in pixels.
        share_y: all panels have one y range, labelled at the left only.
        min_width: a panel's smallest width in pixels before a column is dropped.
        max_width: a panel's largest width in pixels, however wide the page.
        x_axis, y_axis: further properties of every axis.
    """
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    figure = go.Figure(layout={"template": go.layout.Template()})
    headings = []
    for index, title in enumerate(titles):
        row, column = divmod(index, columns)
        suffix = axis_suffix(index)
        is_last = index + columns >= len(titles)
        figure.layout[f"xaxis{suffix}"] = {
            "domain": _share(column, columns, min(0.03 if share_y else 0.07, 0.3 / columns)),
            "anchor": f"y{suffix}",
            "matches": "x" if index else None,
            "title": {"text": x_title if is_last else "", "standoff": 6},
            "showticklabels": is_last,
            **(x_axis or {}),
        }
        figure.layout[f"yaxis{suffix}"] = {
            "domain": _share(rows - 1 - row, rows, _ROW_GAP / (rows * row_height + (rows - 1) * _ROW_GAP)),
            "anchor": f"x{suffix}",
            "matches": "y" if index and share_y else None,
            "showticklabels": column == 0 or not share_y,
            **(y_axis or {}),
        }
        headings.append(panel_title(title, suffix))
    annotate(figure, headings)
    top = 30 if any(titles) else 10
    grid = {
        "panels": len(titles),
        "columns": columns,
        "rowHeight": row_height,
        "minWidth": min_width,
        "maxWidth": max_width,
        "top": top,
        "shareY": share_y,
        "xTitle": x_title,
    }
    figure.update_layout(
        meta={"grid": grid},
        height=rows * (row_height + _ROW_GAP) + 60,
        margin={"l": 52, "r": 12, "t": top, "b": 46},
        font={"family": FONT, "size": TEXT_SIZE},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=legend,
        hovermode="closest",
    )
    return figure


def annotate(figure: go.Figure, notes: Sequence[dict[str, Any]]) -> None:
    """Add texts to a figure, all at once: plotly's `add_annotation` checks all that there are again for each."""
    figure.layout.annotations = (*figure.layout.annotations, *notes)


def scatter(panel: int, **properties: Any) -> Trace:
    """Return a trace of lines or markers in a panel; `properties` are those of plotly's `go.Scatter`."""
    return {"type": "scatter", **properties, **axes_of(panel)}


def axis_suffix(index: int) -> str:
    """Return what plotly appends to the name of a panel's axes: "", "2", "3", ..."""
    return "" if index == 0 else str(index + 1)


def axes_of(index: int) -> dict[str, str]:
    """Return the axes of a panel, as a trace names them."""
    return {"xaxis": f"x{axis_suffix(index)}", "yaxis": f"y{axis_suffix(index)}"}


def panel_title(text: str, suffix: str) -> dict[str, Any]:
    """Return a heading that moves with its panel; `page.js` knows it by its name and breaks it into lines."""
    return {
        "name": "title",
        "text": f"<b>{escaped(text)}</b>",
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "x": 0,
        "y": 1,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": TEXT_SIZE + 1},
    }


def escaped(text: str) -> str:
    """Return text that plotly shows as it is; it reads a few HTML tags otherwise."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _share(index: int, count: int, gap: float) -> list[float]:
    gap = gap if count > 1 else 0.0
    width = (1 - gap * (count - 1)) / count
    start = index * (width + gap)
    return [start, min(1.0, start + width)]
