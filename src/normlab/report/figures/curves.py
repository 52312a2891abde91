"""Curves over epochs: one line per variant, with a band from the lowest to the highest seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from normlab.report.figures.axes import log_axis
from normlab.report.figures.grid import Trace, escaped, panel_figure, scatter
from normlab.report.numbers import significant
from normlab.report.palette import Style, faded
from normlab.report.view import Variant

Scale = Callable[[float], float]

_SHORT_RUN = 10  # epochs


def as_error(accuracy: float) -> float:
    """Return the error in percent."""
    return 100 * (1 - accuracy)


def as_percent(share: float) -> float:
    """Return a share in percent."""
    return 100 * share


def as_it_is(value: float) -> float:
    """Return the value."""
    return value


def curves_figure(
    variants: Sequence[Variant],
    panels: Sequence[tuple[str, str, Scale]],
    *,
    log_y: bool = False,
    share_y: bool = True,
    clock: str = "epoch",
) -> go.Figure:
    """Draw metrics of all variants, one panel per metric.

    Args:
        clock: what the records are numbered by.
        panels: (title, name of the metric in an epoch's record, what is drawn of it).
        log_y: the y axis is logarithmic, where values span at least a factor of 3.
        share_y: the panels show one quantity and have one range.
    """
    seen = [value for _, metric, scale in panels for value in drawn_values(variants, metric, scale)] if log_y else []
    figure = panel_figure(
        [title for title, _, _ in panels],
        columns=len(panels),
        row_height=330,
        min_width=330,
        share_y=share_y,
        x_title=clock,
        x_axis=epoch_axis(variants) if clock == "epoch" else {},
        y_axis=log_axis(seen) if log_y else {"rangemode": "tozero"},
    )
    figure.add_traces(
        [
            trace
            for index, (_, metric, scale) in enumerate(panels)
            for variant in variants
            for trace in variant_traces(variant, metric, scale, index, clock=clock)
        ]
    )
    return figure


def drawn_values(variants: Sequence[Variant], metric: str, scale: Scale = as_it_is) -> list[float]:
    """Return every value that the lines and bands of a metric's curves reach."""
    return [scale(value) for variant in variants for values in variant.mean_curve(metric)[1:] for value in values]


def variant_traces(
    variant: Variant,
    metric: str,
    scale: Scale = as_it_is,
    panel: int = 0,
    style: Style | None = None,
    *,
    band: bool = True,
    clock: str = "epoch",
) -> list[Trace]:
    """Return a variant's mean line, and with `band` below it the band of its seeds if there are several."""
    style = style or variant.style
    epochs, means, lows, highs = variant.mean_curve(metric)
    if not epochs:
        return []
    traces = []
    if band and len(variant.cells) > 1:
        around = rounded([*map(scale, lows), *reversed([*map(scale, highs)])])
        traces.append(
            scatter(
                panel,
                x=[*epochs, *reversed(epochs)],
                y=around,
                fill="toself",
                fillcolor=faded(style.color, 0.16),
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                legendgroup=variant.label,
            )
        )
    traces.append(
        scatter(
            panel,
            x=epochs,
            y=rounded(map(scale, means)),
            mode="lines" if len(epochs) > 1 else "markers",
            name=escaped(variant.label),
            legendgroup=variant.label,
            line={"color": style.color, "dash": style.dash, "width": 2},
            hovertemplate=f"%{{y:.4g}} at {clock} %{{x}}<extra>" + escaped(variant.label) + "</extra>",
        )
    )
    return traces


def epoch_axis(variants: Sequence[Variant]) -> dict[str, Any]:
    """Return an x axis with whole epochs, which plotly would divide in a short run."""
    longest = max((len(cell.epochs) for variant in variants for cell in variant.cells), default=0)
    return {"dtick": 1} if longest <= _SHORT_RUN else {}


def rounded(values: Iterable[float]) -> list[float | None]:
    """Return values with the digits that a figure needs."""
    return [significant(value) for value in values]
