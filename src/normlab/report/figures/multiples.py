"""Curves of many variants as small multiples: one axis of the study makes the lines, the others make the panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from normlab.report.blocks import Key
from normlab.report.figures.axes import log_axis
from normlab.report.figures.curves import Scale, drawn_values, epoch_axis, variant_traces
from normlab.report.figures.grid import Trace, panel_figure
from normlab.report.palette import Style, faint_to_strong
from normlab.report.view import Variant, variant_label

MANY = 9  # more lines than this in one panel cannot be told apart
_PREFERRED = ("norm", "batch_size", "variant")


class Lines(NamedTuple):
    """How variants are laid out: the axis that makes the lines, and the variants of each panel."""

    axis: str
    panels: list[tuple[str, list[Variant]]]
    styles: dict[str, Style]  # of each value of the axis, in order


def laid_out(variants: Sequence[Variant]) -> Lines | None:
    """Return how many variants stand in panels; None if they fit into one, or if no axis divides them."""
    if len(variants) <= MANY:
        return None
    axes: dict[str, dict[str, Any]] = {}
    for variant in variants:
        for axis, value in variant.values.items():
            axes.setdefault(axis, {})[str(value)] = value
    usable = {axis: list(values.values()) for axis, values in axes.items() if 1 < len(values) <= MANY}
    if not usable:
        return None
    axis = next((name for name in _PREFERRED if name in usable), max(usable, key=lambda name: len(usable[name])))
    panels: dict[str, list[Variant]] = {}
    for variant in variants:
        title = variant_label({name: value for name, value in variant.named.items() if name != axis})
        panels.setdefault(title, []).append(variant)
    if len(panels) < 2:
        return None
    return Lines(axis, list(panels.items()), _styles(axis, usable[axis], variants))


def multiples_figure(
    lines: Lines, metric: str, scale: Scale, *, log_y: bool = False, row_height: int = 210, clock: str = "epoch"
) -> go.Figure:
    """Draw a metric's curves by epoch, one panel per combination of the other axes, all on the same axes."""
    variants = [variant for _, of_panel in lines.panels for variant in of_panel]
    figure = panel_figure(
        [title for title, _ in lines.panels],
        columns=4,
        row_height=row_height,
        min_width=230,
        x_title=clock,
        x_axis=epoch_axis(variants) if clock == "epoch" else {},
        y_axis=log_axis(drawn_values(variants, metric, scale)) if log_y else {"rangemode": "tozero"},
    )
    traces: list[Trace] = []
    for index, (_, of_panel) in enumerate(lines.panels):
        for variant in of_panel:
            style = lines.styles[str(variant.values.get(lines.axis))]
            traces += variant_traces(variant, metric, scale, index, style, clock=clock)
    figure.add_traces(traces)
    return figure


def line_keys(lines: Lines) -> list[Key]:
    """Return the legend: an entry per value of the line axis, which switches it in every panel."""
    variants = [variant for _, of_panel in lines.panels for variant in of_panel]
    return [
        Key(
            variant_label({lines.axis: value}),
            style,
            tuple(variant.label for variant in variants if str(variant.values.get(lines.axis)) == value),
        )
        for value, style in lines.styles.items()
    ]


def legend_of(variants: Sequence[Variant]) -> tuple[list[Key], dict[str, Style]]:
    """Return the legend of a figure with all variants in each panel, and the styles by label that it stands for.

    Few variants have an entry and a style each. Of many, those that share a value of the line axis have one.
    """
    lines = laid_out(variants)
    if lines is None:
        return [Key(variant.label, variant.style) for variant in variants], {v.label: v.style for v in variants}
    styles = {variant.label: lines.styles[str(variant.values.get(lines.axis))] for variant in variants}
    return line_keys(lines), styles


def _styles(axis: str, values: list[Any], variants: Sequence[Variant]) -> dict[str, Style]:
    """Schemes keep their colours; numbers go from faint to strong."""
    if axis == "norm":
        styles = {str(variant.values["norm"]): Style(variant.style.color, "solid") for variant in variants}
        return {str(value): styles[str(value)] for value in values}
    shades = faint_to_strong(len(values))
    ordered = sorted(values) if all(isinstance(value, int | float) for value in values) else values
    return {str(value): Style(shade, "solid") for value, shade in zip(ordered, shades, strict=True)}
