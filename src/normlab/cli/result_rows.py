"""Rows that a query found, for people, as CSV, or row by row where a table would be too narrow to read."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import Any

from normlab.cli.tables import pair_lines
from normlab.errors import one_line
from normlab.plurals import plural

_READABLE = 12  # characters of a column that a table may fold its cells to
_LONGEST_CELL = 200
_BORDER = 3  # characters that a table draws for each column


def print_rows(columns: Sequence[Any], rows: Sequence[Sequence[Any]], *, truncated: bool, as_csv: bool = False) -> None:
    """Print rows with the names of their columns, and say on stderr if there are more."""
    if as_csv:
        from normlab.apps.ask.answer import plain_rows

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(plain_rows(rows))
    elif columns:
        _print_for_people([one_line(str(column)) for column in columns], [[_shown(c) for c in row] for row in rows])
        print(plural(len(rows), "row"))
    if truncated:
        print("there are more rows: --limit", file=sys.stderr)


def _print_for_people(columns: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    console = Console(markup=False, highlight=False)
    least = [min(_READABLE, width) for width in _widths(columns, rows)]
    if rows and sum(least) + _BORDER * len(columns) + 1 > console.width:  # rich would draw empty columns
        for number, row in enumerate(rows, start=1):
            print(f"row {number}")
            for line in pair_lines(list(zip(columns, row, strict=True)), console.width - 2):
                print(f"  {line}")
        return
    table = Table()
    for column, width in zip(columns, least, strict=True):
        table.add_column(escape(column), min_width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _widths(columns: list[str], rows: list[list[str]]) -> list[int]:
    """Return the characters of each column's longest line."""
    longest = ([len(line) for cell in cells for line in cell.split("\n")] for cells in zip(columns, *rows, strict=True))
    return [max(lengths) for lengths in longest]


def _shown(cell: Any) -> str:
    if cell is None:
        return ""
    text = plural(len(cell), "byte") if isinstance(cell, bytes) else str(cell)
    text = text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
    return "\n".join(map(one_line, text.split("\n")))  # a stranger's cell may not steer the terminal
