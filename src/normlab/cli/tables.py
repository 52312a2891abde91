"""Tables as a terminal shows them: no line is wider than it, so that none breaks in the middle of a row."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from normlab.metrics import is_fraction


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of one set of columns; to a pipe or a file each on one line, however long."""
    for line in table_lines(rows, _room()) if rows else ():
        print(line)


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Print names with their values; a value that is too wide for the terminal goes on below itself."""
    for line in pair_lines(list(pairs.items()), _room()):
        print(line)


def pair_lines(pairs: Sequence[tuple[str, object]], room: int | None = None) -> Iterator[str]:
    """Yield names with their values in a column beside them; a name may stand there twice.

    Args:
        room: columns of the terminal; None: each value's lines stay as they are.
    """
    width = max(len(name) for name, _ in pairs) + 2
    for name, value in pairs:
        lines = str(value).split("\n")
        if room is not None:
            least = max(20, room - width)
            lines = [part for line in lines for part in textwrap.wrap(line, least, break_long_words=False) or [""]]
        for number, line in enumerate(lines):
            yield f"{'' if number else name:<{width}}{line}".rstrip()


def _room() -> int | None:
    """Return the columns of the terminal; None where output goes to a pipe or a file."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else None


def table_lines(rows: Sequence[Mapping[str, Any]], room: int | None = None) -> Iterator[str]:
    """Yield a head and a line for each row.

    Args:
        room: columns of the terminal; what does not fit beside the first columns stands below them, indented, and
            columns without a value are left out there. None: all stands on one line.
    """
    names = list(rows[0])
    widths = [max(len(name), *(len(str(row[name])) for row in rows)) for name in names]
    beside = len(names)
    while room is not None and beside > 1 and sum(widths[:beside]) + 2 * (beside - 1) > room:
        beside -= 1
    filled = [name if any(str(row[name]) not in ("", "-") for row in rows) else "" for name in names[beside:]]
    for cells in ([*names[:beside], *filled], *([str(row[name]) for name in names] for row in rows)):
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells[:beside], widths, strict=False)).rstrip()
        yield from textwrap.wrap(line, room, subsequent_indent="  ") if room and len(line) > room else [line]
        below = "; ".join(cell for cell in cells[beside:] if cell not in ("", "-"))
        yield from textwrap.wrap(below, room or 80, initial_indent="    ", subsequent_indent="    ")


def metric_table(metrics: Mapping[str, float]) -> str:
    """Lay `split/name` metrics out as a table: a row per metric, a column per split, fractions in percent."""
    splits: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        split, _, name = key.partition("/")
        if split in {"train", "val", "test"}:
            splits.setdefault(split, {})[name] = value
    names = list(dict.fromkeys(name for row in splits.values() for name in row))
    width = max(map(len, ("metric", *names)))
    lines = ["metric".ljust(width) + "".join(split.rjust(11) for split in splits)]
    for name in names:
        lines.append(name.ljust(width) + "".join(_for_people(name, row.get(name)).rjust(11) for row in splits.values()))
    return "\n".join(lines)


def _for_people(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if is_fraction(name) else f"{value:.4f}"
