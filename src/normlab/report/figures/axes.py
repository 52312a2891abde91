"""Axes of values: logarithmic where values span enough for it, with ticks that are labelled at any span."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

_LEAST = 3.0  # largest over smallest value from which an axis is logarithmic
_MAX_TICKS = 9


def log_axis(values: Iterable[float]) -> dict[str, Any]:
    """Return a logarithmic axis with labelled ticks; a linear one below a factor of 3 or without positive values.

    Ticks: 1, 1.5, 2, 3, 5, 7 within a decade, 1, 2, 5 within two, powers of ten beyond.
    """
    positive = [value for value in values if 0 < value < math.inf]
    if not positive or max(positive) < _LEAST * min(positive):
        return {"type": "linear"}
    low, high = min(positive), max(positive)
    digits: tuple[float, ...] = (1,)
    if high < 100 * low:
        digits = (1, 1.5, 2, 3, 5, 7) if high < 10 * low else (1, 2, 5)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    step = -(-(last - first) // _MAX_TICKS) if len(digits) == 1 else 1
    ticks = [float(f"{digit}e{power}") for power in range(first, last + 1, step) for digit in digits]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def log_note(figure: go.Figure) -> str:
    """Return " (logarithmic)" for the title of a figure with a logarithmic y axis, else ""."""
    return " (logarithmic)" if figure.layout.yaxis.type == "log" else ""
