"""Where the cells ran: machine, versions, commit. One column per distinct environment."""

from __future__ import annotations

import json
from typing import Any

from normlab.plurals import plural
from normlab.report.blocks import Block, Cell, Column, Folded, Section, Table
from normlab.report.numbers import DASH
from normlab.report.view import StudyView

_HELP = (
    "A column for each distinct machine and set of versions that cells ran on. With more than one column, "
    "times are not comparable, and numbers may differ in their last digits."
)


def section(view: StudyView) -> Section | None:
    """Show the environments; None before any cell has started."""
    counted: dict[str, tuple[dict[str, str], int]] = {}
    for cell in view.cells:
        if cell.environment:
            flat = flattened(cell.environment)
            key = json.dumps(flat, sort_keys=True)
            counted[key] = (flat, counted[key][1] + 1 if key in counted else 1)
    if not counted:
        return None
    environments = list(counted.values())
    keys = list(dict.fromkeys(key for flat, _ in environments for key in flat))
    columns = [Column("", numeric=False)]
    columns += [
        Column(f"Environment {i} ({plural(n, 'run')})", numeric=False) for i, (_, n) in enumerate(environments, 1)
    ]
    rows = [[Cell(key), *(Cell(flat.get(key, DASH)) for flat, _ in environments)] for key in keys]
    blocks: list[Block] = [Table("environment", columns, rows)]
    commands = sorted({str(cell.environment["command"]) for cell in view.cells if cell.environment.get("command")})
    if commands:
        table = Table("commands", [Column("Command", numeric=False)], [[Cell(command)] for command in commands])
        blocks.append(Folded("Commands", [table]))
    return Section("environment", "Environment", blocks, help=_HELP)


def flattened(environment: dict[str, Any]) -> dict[str, str]:
    """Return an environment as one level of text, packages by their names, the command left out."""
    flat: dict[str, str] = {}
    for key, value in environment.items():
        if key == "command":
            continue
        if isinstance(value, dict):
            flat |= {str(name): str(version) for name, version in value.items()}
        else:
            flat[key.replace("_", " ")] = DASH if value is None else str(value)
    return flat
