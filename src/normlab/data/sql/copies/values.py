"""How a single value changes: numbers and dates are moved, texts become others, constants are nearly met."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Sequence
from typing import Any

from normlab.data.sql.copies.constants import Constants
from normlab.data.sql.copies.contents import Column

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?=$|[ T])")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_MOST_DAYS = 400
_LARGEST = 2**62  # moved numbers still fit into SQLite's 64 bits


def moved(value: Any, others: Sequence[Any], rng: random.Random) -> Any:
    """Return a value of the same kind and form as `value`, seldom the same.

    Args:
        value: an integer or float is moved by a little, or to between two others; a text that holds an ISO date by up
            to 400 days, one that holds a number like a number; another text becomes one of `others`, or a shorter or
            longer one.
        others: values of the column.
    """
    if isinstance(value, bool) or value is None or isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return max(-_LARGEST, min(_LARGEST, value + rng.choice((-2, -1, 1, 2, _step(others, rng)))))
    if isinstance(value, float):
        digits = len(f"{value:.6f}".rstrip("0").partition(".")[2])
        return round(value + rng.choice((-1.0, 1.0, 0.1 * abs(value), -0.1 * abs(value))), digits)
    if _DATE.match(value):
        return _another_day(value, rng)
    if _NUMBER.fullmatch(value):
        return _moved_number(value, rng)
    texts = [other for other in others if isinstance(other, str)]
    return rng.choice(texts) if texts and rng.random() < 0.8 else near_text(value, rng)


def near_text(text: str, rng: random.Random) -> str:
    """Return a text just beside one: longer at either end, shorter, or in the other letter case."""
    return rng.choice((f"{text}x", f"x{text}", f"{text} {text}", text[:-1], text.swapcase()))


def near_constant(constant: str | float | int, column: Column, rng: random.Random) -> Any:
    """Return a constant, or a value just beside it, as the column holds values; of a LIKE pattern a text that fits."""
    if isinstance(constant, str) and column.affinity == "number" and _NUMBER.fullmatch(constant):
        constant = float(constant) if "." in constant else int(constant)
    if isinstance(constant, str):
        exact = constant.replace("%", rng.choice(("", "x", " b"))).replace("_", "a") if "%" in constant else constant
        if rng.random() < 0.5:
            return exact
        return _another_day(exact, rng) if _DATE.match(exact) else near_text(exact, rng)
    number = constant + rng.choice((0, 0, 0, -1, 1, -2, 2))
    return str(number) if column.affinity == "text" else number


def made_up(column: Column, constants: Constants, rng: random.Random) -> Any:
    """Return a value for a column of which the database has none."""
    known = constants.get(column.name.lower(), ())
    if known and rng.random() < 0.6:
        return near_constant(rng.choice(known), column, rng)
    if column.affinity == "number":
        return rng.randrange(30)
    if column.affinity == "date":
        return f"{rng.randrange(2015, 2025)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
    return rng.choice(("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron"))


def _step(others: Sequence[Any], rng: random.Random) -> int:
    """The distance between two values of the column: numbers stay in their range, whatever it is."""
    numbers = [other for other in others if isinstance(other, int)]
    return rng.choice(numbers) - rng.choice(numbers) if numbers else 1


def _another_day(text: str, rng: random.Random) -> str:
    found = _DATE.match(text)
    assert found is not None
    try:
        day = datetime.date(*map(int, found.groups()))
        moved_day = day + datetime.timedelta(days=rng.choice((-1, 1, rng.randint(-_MOST_DAYS, _MOST_DAYS))))
    except (ValueError, OverflowError):  # 2024-02-31, or the calendar's end
        return text
    return moved_day.isoformat() + text[found.end() :]


def _moved_number(text: str, rng: random.Random) -> str:
    digits = len(text.partition(".")[2])
    step = rng.choice((-2, -1, 1, 2))
    if digits:
        return f"{float(text) + step:.{digits}f}" if len(text) < 300 else text
    whole = text.removeprefix("-")
    if len(whole) > 18:
        return text
    return f"{int(text) + step:0{len(whole)}d}"  # leading zeros stay: they are the form of a code
