"""How the distribution of the features moves: percentiles 1, 20, 80 and 99 over the epochs, one panel per
variant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from normlab.report.figures.curves import epoch_axis, rounded
from normlab.report.figures.grid import TEXT_SIZE, Trace, annotate, axis_suffix, panel_figure, scatter
from normlab.report.palette import Style, faded
from normlab.report.view import Variant

LEVELS = ("p01", "p20", "p80", "p99")
_ROW_HEIGHT = 190  # pixels of a panel
_LABEL_HEIGHT, _LABEL_SIZE = 17, 11  # pixels
LABEL_MARGIN = 24  # pixels
_OUTLIER = 4.0  # a variant whose 99th percentile is so many times the upper quartile's does not set the range


def percentiles_figure(variants: Sequence[Variant], prefix: str = "features") -> go.Figure:
    """Draw the percentiles of every variant on shared axes.

    The outer band runs from the 1st to the 99th percentile, the inner one from the 20th to the 80th.
    A variant that leaves the others' range is cut off and says how far it goes.
    """
    figure = panel_figure(
        [panel_label(variant) for variant in variants],
        columns=4,
        row_height=_ROW_HEIGHT,
        min_width=165,
        max_width=560,
        x_axis=epoch_axis(variants),
    )
    figure.update_layout(margin={"r": LABEL_MARGIN})
    top, bottom = shared_range(variants, prefix)
    traces: list[Trace] = []
    notes: list[dict[str, object]] = []
    for index, variant in enumerate(variants):
        traces += _bands(variant, prefix, index)
        highest = _extreme(variant, prefix)
        if highest > top:
            notes.append(beyond(highest, index))
        if said := _divergence(variant):
            notes.append({**beyond(highest, index), "text": said, "y": 0.8})
        ends = {level: means[-1] for level in LEVELS if (means := variant.mean_curve(f"{prefix}/{level}")[1])}
        notes += level_labels(ends, bottom, top, index)
    figure.add_traces(traces)
    annotate(figure, notes)
    for index in range(len(variants)):
        figure.layout[f"yaxis{axis_suffix(index)}"].range = [bottom, top]
    return figure


def level_labels(ends: Mapping[str, float], bottom: float, top: float, panel: int) -> list[dict[str, object]]:
    """Return "1", "20", "80", "99" beside the right ends of a panel's lines, moved apart where they would overlap.

    They stand in the right margin, which takes LABEL_MARGIN pixels.

    Args:
        ends: level -> value of its line at the right end; a value above the panel has no label.
        bottom, top: the range of the panel's y axis.
    """
    shown = sorted(((value, level) for level, value in ends.items() if value <= top))
    heights = spread([value for value, _ in shown], bottom, top, _LABEL_HEIGHT / _ROW_HEIGHT * (top - bottom))
    suffix = axis_suffix(panel)
    return [
        {
            "text": str(int(level[1:])),
            "xref": f"x{suffix} domain",
            "yref": f"y{suffix}",
            "x": 1,
            "y": height,
            "xanchor": "left",
            "yanchor": "middle",
            "xshift": 3,
            "showarrow": False,
            "font": {"size": _LABEL_SIZE},
        }
        for (_, level), height in zip(shown, heights, strict=True)
    ]


def spread(values: Sequence[float], bottom: float, top: float, distance: float) -> list[float]:
    """Return ascending values moved as little as needed to stand `distance` apart, within half of it from the ends."""
    moved: list[float] = []
    for value in values:
        lowest = moved[-1] + distance if moved else bottom + distance / 2
        moved.append(max(value, lowest))
    highest = top - distance / 2
    for index in reversed(range(len(moved))):
        moved[index] = min(moved[index], highest)
        highest = moved[index] - distance
    return moved


def panel_label(variant: Variant) -> str:
    """Return a variant's name as it fits above a narrow panel: "Batch-instance" without "norm"."""
    return variant.label.removesuffix(" norm")


def shared_range(variants: Sequence[Variant], prefix: str = "features") -> tuple[float, float]:
    """Return the (top, bottom) of the common y axis, which no single outlier sets."""
    top = 1.05 * common_top([_extreme(variant, prefix) for variant in variants])
    lows = [min(means) for variant in variants if (means := variant.mean_curve(f"{prefix}/p01")[1])]
    bottom = min([max(low, -top) for low in lows] or [0.0])
    return top, min(0.0, 1.05 * bottom)


def common_top(tops: Sequence[float]) -> float:
    """Return the highest of several tops, but for a few far above the others; 1 if none is above zero."""
    heights = sorted(height for height in tops if height > 0)
    if not heights:
        return 1.0
    limit = _OUTLIER * heights[3 * (len(heights) - 1) // 4]
    return max(height for height in heights if height <= limit)


def band_traces(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], style: Style, panel: int, position: str
) -> list[Trace]:
    """Return the two bands of level -> (x, y), none if there are no points; `position` is how a hint names an x."""
    if not curves["p01"][0] or not curves["p01"][1]:
        return []
    return [
        _line(curves["p01"], f"1 %: %{{y:.4g}} at {position}", style, panel, width=1.0),
        _line(curves["p99"], f"99 %: %{{y:.4g}} at {position}", style, panel, width=1.0, fill=0.14),
        _line(curves["p20"], f"20 %: %{{y:.4g}} at {position}", style, panel, width=1.8),
        _line(curves["p80"], f"80 %: %{{y:.4g}} at {position}", style, panel, width=1.8, fill=0.30),
    ]


def beyond(highest: float, panel: int) -> dict[str, object]:
    """Return the note in a panel's corner that says how far a variant goes beyond it."""
    suffix = axis_suffix(panel)
    return {
        "text": f"↑ up to {highest:.3g}",
        "xref": f"x{suffix} domain",
        "yref": f"y{suffix} domain",
        "x": 0.98,
        "y": 0.97,
        "xanchor": "right",
        "yanchor": "top",
        "showarrow": False,
        "font": {"size": TEXT_SIZE},
    }


def _bands(variant: Variant, prefix: str, panel: int) -> list[Trace]:
    curves = {level: variant.mean_curve(f"{prefix}/{level}")[:2] for level in LEVELS}
    return band_traces(curves, variant.style, panel, "epoch %{x}")


def _divergence(variant: Variant) -> str:
    """Return "✕ diverged, epoch 3", with how many of several runs did; empty if none did."""
    epochs = [cell.result["diverged"]["epoch"] for cell in variant.cells if cell.result.get("diverged")]
    if not epochs:
        return ""
    who = f"{len(epochs)} of {len(variant.cells)}" if len(variant.cells) > 1 else "diverged"
    return f"✕ {who}, epoch {', '.join(str(epoch) for epoch in sorted(set(epochs)))}"


def _line(
    curve: tuple[Sequence[int], Sequence[float]],
    hint: str,
    style: Style,
    panel: int,
    *,
    width: float,
    fill: float = 0.0,
) -> Trace:
    return scatter(
        panel,
        x=list(curve[0]),
        y=rounded(curve[1]),
        mode="lines" if len(curve[0]) > 1 else "markers",
        line={"color": style.color, "width": width},
        fill="tonexty" if fill else None,
        fillcolor=faded(style.color, fill) if fill else None,
        hovertemplate=f"{hint}<extra></extra>",
    )


def _extreme(variant: Variant, prefix: str) -> float:
    return max(variant.mean_curve(f"{prefix}/p99")[1], default=0.0)
