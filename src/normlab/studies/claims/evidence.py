"""The numbers behind a claim: which combinations are compared, and their differences seed by seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from normlab.metrics import has_direction, sign
from normlab.runs import RunState
from normlab.studies.claims.claim import Claim
from normlab.studies.pairs import pair_up
from normlab.studies.statistics import paired_differences
from normlab.studies.study import Study, StudyCell
from normlab.studies.tables import axis_values, cells_with, label_of, product

Values = dict[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What the finished seeds say about one pair of combinations, or about one over time.

    Attributes:
        differences: a - b per seed that finished on both sides, turned so that more is better for a;
            over time, the logarithm of the metric's growth in a.
        diverged_a: number of seeds in which only a diverged; `diverged_b` only b, `diverged_both` both.
        planned: number of seeds of the plan.
        overlap: of the training sets, where seeds are folds (`statistics.folds`).
    """

    label_a: str
    label_b: str
    differences: list[float]
    diverged_a: int
    diverged_b: int
    diverged_both: int
    planned: int
    overlap: float = 0.0

    @property
    def n(self) -> int:
        """Number of seeds that count: with a number on both sides, or diverged on one."""
        return len(self.differences) + self.diverged_a + self.diverged_b


def collect(study: Study, claim: Claim) -> list[Evidence]:
    """Return the evidence for every pair of combinations that the claim compares."""
    if claim.definition.over_time:
        evidence = [_over_time(study, values, claim.metric) for values, _ in _pairs(study, claim)]
    else:
        evidence = [_paired(study, a, b, claim.metric) for a, b in _pairs(study, claim) if a != b]
    return [pair for pair in evidence if pair.planned]  # a plan may leave combinations out


def _pairs(study: Study, claim: Claim) -> Iterator[tuple[Values, Values]]:
    """Yield the two combinations of each comparison; axes that the claim leaves open agree on both sides."""
    axes = axis_values(study)
    named = {*claim.a, *claim.b, *claim.where, claim.over}
    shared = {**claim.where, **{axis: values for axis, values in axes.items() if axis not in named}}
    for common in product(shared):
        for a, b in claim.definition.sides(claim, axes):
            # An axis that only one side names holds for the other too, unless the other says otherwise.
            yield {**common, **b, **a}, {**common, **a, **b}


def _paired(study: Study, values_a: Values, values_b: Values, metric: str) -> Evidence:
    pair = pair_up(study, values_a, values_b, metric)
    direction = sign(metric) if has_direction(metric) else 1.0  # only kinds that are `directed` need one
    differences = [direction * difference for difference in paired_differences(pair.a, pair.b)]
    labels = _labels(study, values_a, values_b)
    return Evidence(
        *labels, differences, pair.diverged_a, pair.diverged_b, pair.diverged_both, pair.planned, study.overlap
    )


def _over_time(study: Study, values: Values, metric: str) -> Evidence:
    cells = [cell for cell in cells_with(study, values) if cell.result is not None]
    diverged = sum(cell.state is RunState.DIVERGED for cell in cells)
    growth = [_log_growth(cell, metric) for cell in cells if cell.state is not RunState.DIVERGED]
    planned = len(cells_with(study, values))
    known = [each for each in growth if each is not None]
    return Evidence(_labels(study, values, values)[0], "", known, diverged, 0, 0, planned, study.overlap)


def _log_growth(cell: StudyCell, metric: str) -> float | None:
    """Return log(last / first) over the epochs; None unless both are positive and finite."""
    values = [record[metric] for record in cell.folder.metrics() if record.get(metric) is not None]
    if len(values) < 2 or not all(math.isfinite(value) and value > 0 for value in (values[0], values[-1])):
        return None
    return math.log(values[-1] / values[0])


def _labels(study: Study, values_a: Values, values_b: Values) -> tuple[str, str]:
    """Name both sides, leaving out axes of which the study has one value only."""
    shown = [axis for axis, values in axis_values(study).items() if len(values) > 1 or axis == "norm"]
    first, second = ({axis: values[axis] for axis in shown if axis in values} for values in (values_a, values_b))
    return label_of(first), label_of(second)
