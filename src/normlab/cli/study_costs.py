"""`study plan --estimate` and `--budget`: what a study would take on this machine, and what fits into an evening."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|d)\s*")


def add_estimate(parser: argparse.ArgumentParser, *, planning: bool) -> None:
    """Add `--budget`, and for planning `--estimate`."""
    if planning:
        parser.add_argument(
            "--estimate", action="store_true", help="say how long it takes here, from some steps of each variant"
        )
    what = "say which cells fit" if planning else "train the cells that fit"
    parser.add_argument(
        "--budget", type=seconds_of, metavar="TIME", help=f"{what} into this time, whole seeds first: 3h, 90m, 1h30m"
    )


def seconds_of(text: str) -> float:
    """Return a duration's seconds. Raises: argparse.ArgumentTypeError for what is none."""
    parts = list(_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text or not sum(float(part[1]) for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is no time: write 3h, 90m or 1h30m")
    return sum(float(part[1]) * _UNITS[part[2]] for part in parts)


def estimated(plan: Any, options: argparse.Namespace) -> Any:
    """Return the estimate of a plan, as far as it is not trained in the study's folder."""
    from normlab.studies.budget import estimate_plan

    out = options.out or Path("runs") / f"{plan.name}-{plan.scale}"
    return estimate_plan(plan, out, workers=options.workers, budget=options.budget)
