"""A number with its noun, as every message, table and report writes it: "1 run", "2 runs", "12,000 images"."""

from __future__ import annotations


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun; from 10,000 on in groups of three digits.

    Args:
        many: the noun of any other number than 1, where it is not `one` with an s; a verb may stand in both.

    >>> plural(1, "cell is", "cells are"), plural(0, "image")
    ('1 cell is', '0 images')
    """
    written = f"{number:,}" if number >= _GROUPED else str(number)
    return f"{written} {one if number == 1 else many or one + 's'}"


_GROUPED = 10_000
