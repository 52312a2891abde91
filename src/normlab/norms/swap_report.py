"""The result of `swap_norms`: names of the replaced layers, layers that were not replaced and why, and warnings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from torch import nn

from normlab.plurals import plural

_SHOWN = 3  # names in a line


class SwapReport(list[str]):
    """A list of the qualified names of the replaced layers, with further results as attributes.

    Attributes:
        model: the model that was given; for a bare norm layer, which cannot be replaced in place, the new layer.
        left: qualified name of each norm-like layer that stayed -> the reason.
        warnings: what changed beyond the scheme or may surprise, one line each; also given as Python warnings.
        new_parameters: qualified names of parameters that no old layer had, which an optimiser built before the swap
            does not move.
        dry_run: whether the model was left as it was.
    """

    def __init__(self, model: nn.Module, dry_run: bool = False) -> None:
        super().__init__()
        self.model = model
        self.dry_run = dry_run
        self.left: dict[str, str] = {}
        self.warnings: list[str] = []
        self.new_parameters: list[str] = []

    def summary(self) -> str:
        """Return the whole report as text, in lines of at most 80 columns where names allow it."""
        verb = "would be replaced" if self.dry_run else "replaced"
        lines = [f"{plural(len(self), 'norm layer')} {verb}: {', '.join(self) or '-'}"]
        lines += [f"left {name or 'the model itself'}: {reason}" for name, reason in self.left.items()]
        return "\n".join(_broken(line) for line in lines + self.warnings)


def _broken(line: str) -> str:
    return textwrap.fill(line, 80, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def listed(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are.

    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    all_names = list(names)
    rest = len(all_names) - _SHOWN
    shown = ", ".join(all_names[:_SHOWN])
    return f"{shown} and {rest} more" if rest > 0 else shown


def left_line(left: dict[str, str], total: int) -> str:
    """Return one line about the layers that were not replaced, grouped by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left.items():
        by_reason.setdefault(reason, []).append(name or "the model itself")
    reasons = "; ".join(f"{reason} ({listed(names)})" for reason, names in by_reason.items())
    return f"left {len(left)} of {plural(total, 'norm layer')} as they are: {reasons}"
