"""How a number is written for people: percent, intervals, durations. Files keep fractions and seconds."""

from __future__ import annotations

import math
from typing import Any

from normlab.metrics import is_fraction
from normlab.studies.statistics import Interval

DASH = "–"


def finite(value: Any) -> float | None:
    """Return a number, or None for anything that is missing, infinite or not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def significant(value: float | None, digits: int = 5) -> float | None:
    """Round to some significant digits: figures carry no more than an eye can see."""
    return None if value is None else float(f"{value:.{digits}g}")


def value_text(value: float | None, metric: str) -> str:
    """Return a metric's value: shares in percent with two digits, the rest with four significant ones."""
    if value is None:
        return DASH
    return f"{100 * value:.2f}" if is_fraction(metric) else f"{value:.4g}"


def spread_text(interval: Interval | None, metric: str) -> str:
    """Return half an interval's width ("± 0.21"); empty where one seed allows no interval."""
    if interval is None or interval.low is None or interval.high is None:
        return ""
    half = (interval.high - interval.low) / 2
    return f"± {100 * half:.2f}" if is_fraction(metric) else f"± {half:.2g}"


def difference_text(interval: Interval, sign: str = "+") -> str:
    """Return a difference of shares in percentage points with its interval where there is one.

    `sign` is as in a format: "+" writes both signs, "-" only that of negative numbers ("behind by 3.10").
    """
    mean = f"{100 * interval.mean:{sign}.2f}"
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} [{100 * interval.low:{sign}.2f}, {100 * interval.high:{sign}.2f}]"


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: 4.2 s, 3 min 10 s, 2 h 05 min."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def count(value: float | None) -> str:
    """Return a whole number with thin groups of three."""
    return DASH if value is None else f"{round(value):,}"


def p_text(p_value: float) -> str:
    """Return a p-value with two significant digits, "< 0.0001" below that."""
    return "< 0.0001" if p_value < 1e-4 else f"{p_value:.2g}"


def listing(items: list[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
