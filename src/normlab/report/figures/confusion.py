"""Confusion matrices as small multiples, and what a matrix says in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from normlab.report.figures.grid import axes_of, panel_figure
from normlab.report.view import Variant

# Transparent to opaque, so that an empty field shows the ground of a light and of a dark page.
_SCALE = [[0.0, "rgba(23,128,207,0)"], [1.0, "rgba(23,128,207,1)"]]
_TICKED = 30  # classes up to which every name fits at the axis


class Confusion(NamedTuple):
    """The pair of classes that is mixed up most often."""

    true: str
    predicted: str
    share: float  # of the true class


def summed_confusion(variant: Variant, split: str = "test") -> np.ndarray | None:
    """Return the counts (true class, predicted class) summed over the seeds; None if no seed has them."""
    matrices = [
        np.asarray(table)
        for cell in variant.trained
        if (table := cell.result.get("tables", {}).get(split, {}).get("confusion")) is not None
    ]
    shapes = {matrix.shape for matrix in matrices}
    return np.sum(matrices, axis=0) if len(shapes) == 1 else None


def row_shares(counts: np.ndarray) -> np.ndarray:
    """Return each row divided by its sum; a class that does not occur gives a row of zeros."""
    return counts / np.maximum(counts.sum(1, keepdims=True), 1)


def worst_confusion(counts: np.ndarray, classes: Sequence[str]) -> Confusion | None:
    """Return the most frequent mistake relative to its true class; None if there is no mistake."""
    shares = row_shares(counts)
    np.fill_diagonal(shares, 0.0)
    true, predicted = divmod(int(shares.argmax()), shares.shape[1])
    if shares[true, predicted] == 0:
        return None
    return Confusion(classes[true], classes[predicted], float(shares[true, predicted]))


def confusion_figure(matrices: Sequence[tuple[str, np.ndarray]], classes: Sequence[str]) -> go.Figure:
    """Draw one matrix per variant, rows the true class, each row's shares by colour.

    The colour follows the square root of the share, so that a mistake of 2 % shows beside a recall of 95 %.
    """
    few = len(classes) <= _TICKED
    ticks = {
        "tickvals": list(range(len(classes))) if few else [],
        "ticktext": list(classes) if few else [],
        "ticks": "",
        "showgrid": False,
        "zeroline": False,
        "constrain": "domain",
        "fixedrange": True,
    }
    figure = panel_figure(
        [title for title, _ in matrices],
        columns=3,
        row_height=270,
        min_width=250,
        max_width=420,
        x_title="predicted",
        x_axis={**ticks, "tickangle": -50},
        y_axis={**ticks, "autorange": "reversed"},
    )
    longest = max((len(name) for name in classes), default=1) if few else 1
    figure.update_layout(margin={"l": 22 + 7 * min(longest, 12), "b": 50 + 5 * min(longest, 12)})
    for index, (_, counts) in enumerate(matrices):
        figure.add_trace(_heatmap(counts, classes, index))
    return figure


def _heatmap(counts: np.ndarray, classes: Sequence[str], panel: int) -> go.Heatmap:
    shares = row_shares(counts)
    text = [
        [f"{true} → {predicted}: {counts[i, j]} ({100 * shares[i, j]:.1f} %)" for j, predicted in enumerate(classes)]
        for i, true in enumerate(classes)
    ]
    return go.Heatmap(
        z=np.sqrt(shares).round(3).tolist(),
        zmin=0,
        zmax=1,
        colorscale=_SCALE,
        showscale=False,
        xgap=1,
        ygap=1,
        text=text if len(classes) <= _TICKED else None,
        hovertemplate="%{text}<extra></extra>" if len(classes) <= _TICKED else None,
        **axes_of(panel),
    )
