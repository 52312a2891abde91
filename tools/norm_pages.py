"""Write docs/norms/SCHEME.md from each scheme's card and from the measured results in docs/results.

python tools/norm_pages.py            write the pages
python tools/norm_pages.py --check    fail if one of them is out of date (a test does this)
"""

from __future__ import annotations

import json
import string
import sys
from pathlib import Path
from typing import Any

from normlab.norms import NORMS
from normlab.norms.base import Norm
from normlab.norms.options import accepted_options

DOCS = Path(__file__).resolve().parent.parent / "docs"
SAMPLES, CHANNELS, GROUPS = 3, 4, 2  # of the drawing


def page(name: str) -> str:
    """Return a scheme's page as Markdown."""
    layer = NORMS.create(name, CHANNELS, **({"groups": GROUPS} if name == "group" else {}))
    card = layer.card
    aliases = ", ".join(f"`{alias}`" for alias in NORMS.aliases(name))
    options = accepted_options(name)
    return "\n".join(
        [
            f"# {card.title}",
            "",
            f"`--norm {name}`" + (f" (also {aliases})" if aliases else ""),
            "",
            f"$${card.latex}$$",
            "",
            f"`{card.formula}`",
            "",
            f"## What one {'mean square' if card.statistics == 'mean square' else 'mean'} runs over",
            "",
            *drawing(layer),
            "",
            f"- Depends on the other images of the batch in training: {_yes(layer.batch_dependent)}.",
            f"- Keeps running averages for evaluation: {_yes(layer.running_state)}.",
            f"- Options: {', '.join(f'`{option}`' for option in options) if options else 'none'}.",
            "",
            "## When to use it, and when not",
            "",
            card.when_to_use,
            "",
            card.limits,
            "",
            *evidence(name),
            "## Source",
            "",
            f"{card.paper}.",
            "",
        ]
    )


def drawing(layer: Norm) -> list[str]:
    """Return a table of images and channels: maps that share a letter share one mean and one variance."""
    if not layer.pools_over:
        return ["Nothing: there are no statistics."]
    letters = iter(string.ascii_uppercase)
    names: dict[tuple[int, int], str] = {}
    width = CHANNELS // layer.channel_groups
    rows = []
    for sample in range(SAMPLES):
        cells = []
        for channel in range(CHANNELS):
            block = channel // width if "C" in layer.pools_over else channel
            key = (-1 if "N" in layer.pools_over else sample, block)
            if key not in names:
                names[key] = next(letters)
            cells.append(names[key])
        rows.append(f"| image {sample + 1} | {' | '.join(cells)} |")
    heading = " | ".join(f"channel {channel + 1}" for channel in range(CHANNELS))
    note = "Each cell is a whole map (H, W). " + _sharing(layer)
    return [note, "", f"| | {heading} |", f"|---|{':---:|' * CHANNELS}", *rows]


def _sharing(layer: Norm) -> str:
    """Return what maps with the same letter have in common."""
    if layer.card.statistics == "mixed":
        return "Maps with the same letter influence each other's mean and variance, which are mixtures."
    shared = "one mean square" if layer.card.statistics == "mean square" else "one mean and one variance"
    if not layer.pools_over & {"H", "W"}:
        return f"At each position, maps with the same letter share {shared}; every position has its own."
    return f"Maps with the same letter share {shared}."


def evidence(name: str) -> list[str]:
    """Return what our own studies measured for the scheme; nothing where there is none."""
    lines = []
    for path in sorted((DOCS / "results").glob("*.json")):
        study = json.loads(path.read_text(encoding="utf-8"))
        for row in study["rows"]:
            accuracy, lost = row["metrics"].get("test/accuracy"), row.get("diverged", 0)
            if row["values"].get("norm") == name and (accuracy or lost):
                measured = _measured(accuracy, lost)
                lines.append(f"| [{study['title']}](../results/{path.stem}.md) | {row['label']} | {measured} |")
    if not lines:
        return []
    return [
        "## What we measured",
        "",
        "| study | variant | test accuracy, mean and 95 % interval |",
        "|---|---|---|",
        *lines,
        "",
    ]


def _measured(accuracy: dict[str, Any] | None, diverged: int) -> str:
    """Return mean, interval (cut to what a share can be) and number of runs, and how many diverged beside them."""
    lost = f"{diverged} diverged" if diverged else ""
    if accuracy is None:
        return lost
    runs = ", ".join(part for part in (f"n = {accuracy['n']}", lost) if part)
    if accuracy["low"] is None:
        return f"{100 * accuracy['mean']:.2f} % ({runs})"
    low, high = max(accuracy["low"], 0.0), min(accuracy["high"], 1.0)
    return f"{100 * accuracy['mean']:.2f} % [{100 * low:.2f}, {100 * high:.2f}] ({runs})"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def main(arguments: list[str]) -> int:
    """Write or check the pages; return the exit code."""
    stale = []
    for name in NORMS:
        path, text = DOCS / "norms" / f"{name}.md", page(name)
        if arguments == ["--check"]:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(path.name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}; run `python tools/norm_pages.py`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
