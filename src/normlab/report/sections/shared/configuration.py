"""The settings of every cell: first where cells differ, then what they share."""

from __future__ import annotations

from typing import Any

from normlab.plurals import plural
from normlab.report.blocks import Block, Cell, Column, Folded, Section, Table, Text
from normlab.report.numbers import DASH, listing
from normlab.report.view import StudyView

_MOST_ROWS = 1000  # a browser takes seconds to lay out more
_HELP = (
    "Every setting of every cell: first those in which cells differ, then those that all share. A cell's hash covers "
    "what changes a result; two cells with one hash are the same experiment."
)


def section(view: StudyView) -> Section | None:
    """Show differences and, folded, what all cells share: together the whole of every configuration."""
    configured = [cell for cell in view.cells if cell.config]
    if not configured:
        return None
    keys = list(dict.fromkeys(key for cell in configured for key in cell.config))
    differing = [key for key in keys if len({_shown(cell.config.get(key)) for cell in configured}) > 1]
    shared = [key for key in keys if key not in differing]
    blocks: list[Block] = []
    if differing:
        blocks.append(Text(f"{plural(len(configured), 'cell')} differ in {listing(differing)}; all else is the same."))
        blocks.append(Folded("Where the cells differ", [_differences(view, differing)]))
    first = configured[0].config
    rows = [[Cell(key), Cell(_shown(first.get(key)))] for key in shared]
    columns = [Column("Setting", numeric=False), Column("Value", numeric=False)]
    blocks.append(
        Folded(f"What all cells share ({plural(len(shared), 'setting')})", [Table("shared_settings", columns, rows)])
    )
    return Section("configuration", "Configuration", blocks, help=_HELP)


def _differences(view: StudyView, keys: list[str]) -> Table:
    columns = [
        Column("Cell", numeric=False),
        *(Column(key, numeric=False) for key in keys),
        Column("Hash", numeric=False),
    ]
    cells = [(variant.style, cell) for variant in view.variants for cell in variant.cells]
    rows = [
        [
            Cell(cell.name, style=style),
            *(Cell(_shown(cell.config.get(key)) if cell.config else DASH) for key in keys),
            Cell(str(cell.result.get("config_hash", DASH))),
        ]
        for style, cell in cells[:_MOST_ROWS]
    ]
    caption = f"The first {_MOST_ROWS:,} of {plural(len(cells), 'cell')}." if len(cells) > _MOST_ROWS else ""
    return Table("configuration", columns, rows, caption)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
