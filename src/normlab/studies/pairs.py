"""Two combinations of axis values under the same seeds: who finished, who diverged, with which numbers.

A diverged run has no value, and yet it is a result: where one side of a pair diverged it has lost that pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from normlab.runs import RunState
from normlab.studies.study import Study
from normlab.studies.tables import cells_with, final_value


@dataclass(frozen=True)
class Pair:
    """Two combinations side by side.

    Attributes:
        a: the metric over the seeds that finished on both sides, sorted by seed; `b` the other side's.
        diverged_a: seeds in which only a diverged; `diverged_b` only b, `diverged_both` both.
        planned: seeds of the plan.
    """

    values_a: dict[str, Any]
    values_b: dict[str, Any]
    a: list[float]
    b: list[float]
    diverged_a: int
    diverged_b: int
    diverged_both: int
    planned: int


def pair_up(study: Study, values_a: Mapping[str, Any], values_b: Mapping[str, Any], metric: str) -> Pair:
    """Collect what the done cells of two combinations say about each other."""
    cells_a = {cell.seed: cell for cell in cells_with(study, values_a)}
    cells_b = {cell.seed: cell for cell in cells_with(study, values_b)}
    shared = sorted(cells_a.keys() & cells_b.keys())
    done = [seed for seed in shared if cells_a[seed].result is not None and cells_b[seed].result is not None]
    states = [(cells_a[seed].state, cells_b[seed].state) for seed in done]
    numbers = [(final_value(cells_a[seed], metric), final_value(cells_b[seed], metric)) for seed in done]
    both = [(a, b) for a, b in numbers if a is not None and b is not None]
    return Pair(
        dict(values_a),
        dict(values_b),
        [a for a, _ in both],
        [b for _, b in both],
        states.count((RunState.DIVERGED, RunState.FINISHED)),
        states.count((RunState.FINISHED, RunState.DIVERGED)),
        states.count((RunState.DIVERGED, RunState.DIVERGED)),
        len(shared),
    )
