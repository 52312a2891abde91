"""All schemes of a study against one of them, corrected for their number, with a rule for who wins.

A winner needs a Holm-adjusted paired t-test below 5 %; a diverged run loses to one that finished.
Everything else has no winner, however the means are ordered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from normlab.errors import UserError, did_you_mean
from normlab.metrics import higher_is_better
from normlab.plurals import plural
from normlab.studies.pairs import Pair, pair_up
from normlab.studies.statistics import CORRECTED, Adjusted, Comparison, adjust, compare_paired, paired_differences
from normlab.studies.study import Study
from normlab.studies.tables import axis_values, label_of, product


@dataclass(frozen=True)
class SchemeComparison:
    """One combination of axis values against the reference in the same surroundings.

    Attributes:
        values: the combination; `reference` differs from it in one axis.
        comparison: values minus reference over the seeds that finished in both; None if there are none.
        adjusted: interval and p-value after Holm's correction over all comparisons of the call; None if there is
            nothing to test.
        diverged: number of seeds in which only this side diverged; `reference_diverged` only the reference.
        winner: "values", "reference", or None: no difference shown.
        sentence: the outcome for a person.
    """

    values: dict[str, Any]
    reference: dict[str, Any]
    comparison: Comparison | None
    adjusted: Adjusted | None
    diverged: int
    reference_diverged: int
    winner: str | None
    sentence: str

    @property
    def adjusted_p(self) -> float | None:
        """The p-value after Holm's correction; None if there is nothing to test."""
        return self.adjusted.p_value if self.adjusted else None


def comparisons(study: Study, metric: str, *, axis: str | None = None, reference: Any = None) -> list[SchemeComparison]:
    """Compare every value of an axis with the reference value, for each combination of the other axes.

    Args:
        axis: default "norm", or the study's first axis.
        reference: a value of that axis; default its first.
    Raises: UserError for an axis or a value that the study does not have.
    """
    axes = axis_values(study)
    axis = axis or ("norm" if "norm" in axes else next(iter(axes)))
    if axis not in axes:
        raise UserError(f"{study.path}: unknown axis '{axis}': {did_you_mean(axis, axes)}")
    reference = axes[axis][0] if reference is None else reference
    if reference not in axes[axis]:
        hint = did_you_mean(str(reference), map(str, axes[axis]))
        raise UserError(f"{study.path}: no cell has {axis} '{reference}': {hint}")
    surroundings = product({name: values for name, values in axes.items() if name != axis})
    others = [value for value in axes[axis] if value != reference]
    pairs = [
        pair_up(study, {**common, axis: value}, {**common, axis: reference}, metric)
        for common in surroundings
        for value in others
    ]
    pairs = [pair for pair in pairs if pair.planned]  # a plan may leave combinations out
    compared = [compare_paired(pair.a, pair.b, overlap=study.overlap) if pair.a else None for pair in pairs]
    differences = [paired_differences(pair.a, pair.b) for pair in pairs if pair.a]
    corrected = iter(adjust(differences, overlap=study.overlap))
    adjusted = [next(corrected) if pair.a else None for pair in pairs]
    note = f", {CORRECTED}" if study.overlap else ""
    return [_decide(*each, metric, note) for each in zip(pairs, compared, adjusted, strict=True)]


def _decide(
    pair: Pair, comparison: Comparison | None, adjusted: Adjusted | None, metric: str, note: str
) -> SchemeComparison:
    winner = None
    if comparison is not None and adjusted is not None and adjusted.decided:
        winner = "values" if (comparison.difference.mean > 0) == higher_is_better(metric) else "reference"
    if bool(pair.diverged_a) != bool(pair.diverged_b):
        survivor = "reference" if pair.diverged_a else "values"
        winner = survivor if winner in (None, survivor) else None
    elif pair.diverged_a and pair.diverged_b:
        winner = None
    sentence = _sentence(pair, winner, adjusted, note)
    return SchemeComparison(
        pair.values_a, pair.values_b, comparison, adjusted, pair.diverged_a, pair.diverged_b, winner, sentence
    )


def _sentence(pair: Pair, winner: str | None, adjusted: Adjusted | None, note: str) -> str:
    names = label_of(pair.values_a), label_of(pair.values_b)
    diverged = [
        f"{name} diverged in {count} of {plural(pair.planned, 'seed')}"
        for name, count in zip(names, (pair.diverged_a, pair.diverged_b), strict=True)
        if count
    ]
    corrected = (
        ""
        if adjusted is None
        else f"Holm-adjusted p {adjusted.p_value:.2g} paired by {plural(len(pair.a), 'seed')}" + note
    )
    because = "; ".join(part for part in (*diverged, corrected) if part) or "no seed has finished in both"
    if winner is None:
        return f"{names[0]} and {names[1]} overlap, no winner: {because}{_missing(pair, adjusted)}"
    better, worse = names if winner == "values" else names[::-1]
    return f"{better} is better than {worse}: {because}"


def _missing(pair: Pair, adjusted: Adjusted | None) -> str:
    """Say what would decide the comparison."""
    if adjusted is None:
        return ""
    if len(pair.a) == 1:
        return "; one seed shows no spread: run at least three"
    if adjusted.more_seeds is None:
        return "; no number of seeds can be named that would decide it"
    return f"; about {adjusted.more_seeds} more would decide it if mean and spread stay"
