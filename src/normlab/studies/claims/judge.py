"""The verdict on a claim: confirmed, refuted, or undecided and how many more seeds would decide it.

A 95 % interval wholly on the claim's side confirms, wholly on the other side refutes, anything else is
undecided. A claim about several pairs is confirmed if each pair confirms it (which needs no correction: one
failing pair suffices to fail) and refuted if one pair does, at a level divided by their number
(Bonferroni), since any of them might by chance. One seed shows no spread and decides nothing, except by
diverging: a diverged run has lost its pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from normlab.metrics import has_direction, higher_is_better
from normlab.studies.claims.claim import Claim
from normlab.studies.claims.evidence import Evidence, collect
from normlab.studies.claims.kinds import Region
from normlab.studies.claims.wording import say_claim, say_pair
from normlab.studies.statistics import Interval, mean_interval, seeds_needed, standard_error
from normlab.studies.statistics.paired import sign_flip_p_value, t_test_p_value
from normlab.studies.statistics.probabilities import t_above
from normlab.studies.statistics.sequential import FIRST_LOOK, look_level
from normlab.studies.study import Study

LEVEL = 0.95
_FEWEST_WITHOUT_SPREAD = 6  # equal differences show no spread, but six of one sign are unlikely by chance


@dataclass(frozen=True)
class Verdict:
    """The answer to a claim.

    Attributes:
        kind: confirmed, refuted or undecided.
        effect: a - b in the metric's units with its interval, of the pair that decided; over time,
            the metric's growth as a factor. None if no seed gave a number.
        n: seeds behind the effect, diverged ones included.
        p_value: directional kinds: sign-flip test of no difference, of folds the corrected resampled t-test; equal
            and insensitive: two one-sided t-tests of a difference at least as large as the margin (from two seeds
            on). The largest over the pairs.
        more_seeds: undecided: paired seeds that would decide it if mean and spread stay; None if no
            number can be named.
        sentence: all of it in one sentence.
        details: a sentence per pair, where there are several.
    """

    kind: str
    effect: Interval | None
    n: int
    p_value: float | None
    more_seeds: int | None
    sentence: str
    details: tuple[str, ...] = ()


def level_of(study: Study) -> float:
    """Return the level of a study's intervals: 95 %, or what its looks leave if it stops once its claims are decided.

    A look counts the seeds of which every cell has a result.
    """
    if study.planned_seeds is None:
        return LEVEL
    looked_at = max(FIRST_LOOK, whole_seeds(study))
    return look_level(min(looked_at, study.planned_seeds), study.planned_seeds)


def whole_seeds(study: Study) -> int:
    """Return the number of seeds of which every cell has a result."""
    open_seeds = {cell.seed for cell in study.cells if cell.result is None}
    return len({cell.seed for cell in study.cells} - open_seeds)


def judge(study: Study, claim: Claim) -> Verdict:
    """Answer a claim from the cells that are done."""
    evidence = collect(study, claim)
    region = claim.definition.region(claim.margin)
    if not evidence:
        return Verdict("undecided", None, 0, None, None, "undecided: the study's axes leave nothing to compare")
    level = level_of(study)
    parts = [_judge_pair(claim, region, pair, len(evidence), level) for pair in evidence]
    kinds = [part.kind for part in parts]
    kind = "refuted" if "refuted" in kinds else "undecided" if "undecided" in kinds else "confirmed"
    deciding = [part for part in parts if part.kind == kind]
    part = max(deciding, key=lambda part: part.more_seeds or 0)
    p_values = [part.p_value for part in parts if part.p_value is not None]
    open_ones = [part.more_seeds for part in deciding]
    more = max((count for count in open_ones if count is not None), default=None) if None not in open_ones else None
    return Verdict(
        kind,
        part.effect,
        part.n,
        max(p_values, default=None),
        more if kind == "undecided" else None,
        part.sentence if len(parts) == 1 else say_claim(kind, part.sentence, len(deciding), len(parts)),
        tuple(part.sentence for part in parts) if len(parts) > 1 else (),
    )


def _judge_pair(claim: Claim, region: Region, pair: Evidence, pairs: int, level: float) -> Verdict:
    by_numbers = verdict_by_interval(region, pair.differences, pairs, level, overlap=pair.overlap)
    kind = _with_divergence(claim, region, pair, by_numbers)
    interval = mean_interval(pair.differences, level, overlap=pair.overlap) if pair.differences else None
    effect = _effect(claim, interval)
    more, among = _more_seeds(region, pair, pairs) if kind == "undecided" else (None, 1)
    sentence = say_pair(claim, kind, pair, effect, more, among)
    return Verdict(kind, effect, pair.n, _p_value(claim, region, pair), more, sentence)


def _more_seeds(region: Region, pair: Evidence, pairs: int) -> tuple[int | None, int]:
    """Return how many more seeds would decide, and among how many pairs this one has to stand out for that."""
    differences, overlap = pair.differences, pair.overlap
    if not differences:
        return None, 1
    more = seeds_needed(differences, *region.thresholds, overlap=overlap)
    if more != 0:
        return more, 1
    more = seeds_needed(differences, *region.thresholds, level=1 - (1 - LEVEL) / pairs, overlap=overlap)
    return (None, 1) if more == 0 else (more, pairs)  # 0: there is no spread to decide by, see `verdict_by_interval`


def verdict_by_interval(
    region: Region, differences: Sequence[float], pairs: int, level: float = LEVEL, *, overlap: float = 0.0
) -> str | None:
    """Return the verdict of the seeds that gave numbers; None if none did.

    Args:
        differences: turned as `Evidence.differences`.
        pairs: how many such verdicts the claim needs; to refute by any one of them takes stronger evidence.
        level: of the interval; higher where a study may stop at any seed (`level_of`).
        overlap: of the training sets, where seeds are folds. Without spread these say nothing.
    """
    if not differences:
        return None
    narrow = mean_interval(differences, level, overlap=overlap)
    wide = mean_interval(differences, 1 - (1 - level) / pairs, overlap=overlap)
    if narrow.low is None or narrow.high is None or wide.low is None or wide.high is None:
        return "undecided"
    if not narrow.has_spread and narrow.mean != 0 and (overlap or narrow.n < _FEWEST_WITHOUT_SPREAD):
        return "undecided"
    if region.contains(narrow.low, narrow.high):
        return "confirmed"
    return "refuted" if region.excludes(wide.low, wide.high) else "undecided"


def _with_divergence(claim: Claim, region: Region, pair: Evidence, by_numbers: str | None) -> str:
    """Count diverged runs as lost: they decide where all are on one side and no number contradicts them."""
    if not (pair.diverged_a or pair.diverged_b):
        return by_numbers or "undecided"
    if pair.diverged_a and pair.diverged_b:
        return "undecided"
    if claim.definition.divergence_refutes:
        return "refuted"
    infinite = math.inf if pair.diverged_b or claim.definition.over_time else -math.inf
    verdict = "confirmed" if infinite in (region.low, region.high) else "refuted"
    return verdict if by_numbers in (None, verdict) else "undecided"


def _effect(claim: Claim, interval: Interval | None) -> Interval | None:
    """Return the interval in the metric's own direction, or as a factor over time."""
    if interval is None:
        return None
    if claim.definition.over_time:
        low, high = (None if bound is None else math.exp(bound) for bound in (interval.low, interval.high))
        return Interval(math.exp(interval.mean), low, high, interval.n, None, interval.level)
    if not has_direction(claim.metric) or higher_is_better(claim.metric):
        return interval
    low, high = (None if bound is None else -bound for bound in (interval.high, interval.low))
    return Interval(-interval.mean, low, high, interval.n, interval.std, interval.level)


def _p_value(claim: Claim, region: Region, pair: Evidence) -> float | None:
    differences, overlap = pair.differences, pair.overlap
    if not differences or claim.definition.over_time:
        return None
    interval = mean_interval(differences)
    if len(region.thresholds) < 2:
        return t_test_p_value(interval, overlap) if overlap else sign_flip_p_value(differences)
    if interval.std is None or not interval.has_spread:
        return None
    error = standard_error(interval.std, interval.n, overlap)
    nearest = min(interval.mean - region.low, region.high - interval.mean)
    return t_above(nearest / error, interval.n - 1)
