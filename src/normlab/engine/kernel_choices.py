"""Which operations of a run were torch's own and which the project's kernels: recorded in its card, kept on resuming.

Both compute the same but for rounding. A run that goes on computes as it began, so that its bits are those of a run
that never stopped, on a machine that would choose otherwise too.
"""

from __future__ import annotations

from typing import Any

from normlab.kernels.runtime import contest
from normlab.runs import RunFolder


def resumed_choices(folder: RunFolder) -> dict[str, Any]:
    """Keep to the choices that a run's card records; return them as an entry of the card, {} where there is none."""
    recorded: dict[str, str] = folder.card().get("kernels", {})
    contest.keep(recorded)
    return {"kernels": recorded} if recorded else {}


def record_choices(folder: RunFolder) -> None:
    """Write the choices made so far into the card, if there are new ones."""
    if (used := contest.used()) and folder.card().get("kernels") != used:
        folder.write_card({**folder.card(), "kernels": used})
