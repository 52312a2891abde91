"""Curves against the number of updates: what a step teaches, whatever the batch size made an epoch to be."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from normlab.report.figures.curves import Scale, rounded
from normlab.report.figures.grid import Trace, escaped, panel_figure, scatter
from normlab.report.view import Variant


def updates_figure(variants: Sequence[Variant], panels: Sequence[tuple[str, str, Scale]]) -> go.Figure:
    """Draw metrics against optimiser steps: per variant the mean over the seeds at each step that they measured.

    Args:
        panels: (title, name of the metric in an epoch's record, what is drawn of it).
    """
    figure = panel_figure(
        [title for title, _, _ in panels],
        columns=len(panels),
        row_height=330,
        min_width=330,
        share_y=False,
        x_title="updates",
    )
    traces: list[Trace] = []
    for index, (_, metric, scale) in enumerate(panels):
        for variant in variants:
            if points := mean_by_step(variant, metric):
                traces.append(_line(variant, points, scale, index))
    figure.add_traces(traces)
    return figure


def mean_by_step(variant: Variant, metric: str) -> dict[int, float]:
    """Return step -> mean of a metric over the seeds that measured it there."""
    by_step: dict[int, list[float]] = {}
    for cell in variant.cells:
        steps = {record["epoch"]: record["step"] for record in cell.epochs if "step" in record}
        for epoch, value in cell.curve(metric).items():
            if epoch in steps:
                by_step.setdefault(steps[epoch], []).append(value)
    return {step: sum(values) / len(values) for step, values in sorted(by_step.items())}


def _line(variant: Variant, points: dict[int, float], scale: Scale, panel: int) -> Trace:
    return scatter(
        panel,
        x=list(points),
        y=rounded(map(scale, points.values())),
        mode="lines" if len(points) > 1 else "markers",
        name=escaped(variant.label),
        legendgroup=variant.label,
        line={"color": variant.style.color, "dash": variant.style.dash, "width": 2},
        hovertemplate="%{y:.4g} after %{x} updates<extra>" + escaped(variant.label) + "</extra>",
    )
