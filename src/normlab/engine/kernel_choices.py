"""Which operations of a run were torch's own and which the project's kernels: recorded in its card, kept on resuming.

Both compute the same but for rounding. A run that goes on computes as it began, so that its bits are those of a run
that never stopped, on a machine that would choose otherwise too.
"""

from __future__ import annotations

from typing import Any

from normlab.kernels.runtime import contest
from normlab.runs import RunFolder


def resumed_choices(folder: RunFolder) -> dict[str, Any]:
    """Begin a run with the choices that its card records; return them as an entry of the card, {} if there are none."""
    recorded: dict[str, str] = folder.card().get("kernels", {})
    contest.begin_run(recorded)
    return {"kernels": recorded} if recorded else {}


def record_choices(folder: RunFolder) -> None:
    """Write the choices made so far into the card, if there are new ones."""
    card = folder.card()
    recorded = card.get("kernels", {})
    if new := contest.used().items() - recorded.items():
        folder.write_card({**card, "kernels": dict(sorted({**recorded, **dict(new)}.items()))})
