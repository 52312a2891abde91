"""Verdicts as sentences. Fractions become percentage points here and nowhere before."""

from __future__ import annotations

from normlab.metrics import is_fraction
from normlab.studies.claims.claim import Claim
from normlab.studies.claims.evidence import Evidence
from normlab.studies.statistics import CORRECTED, Interval


def say_pair(claim: Claim, kind: str, pair: Evidence, effect: Interval | None, more: int | None, among: int = 1) -> str:
    """Return one sentence about one pair: verdict, effect, interval, seeds, divergence, what is missing.

    Args:
        more: number of paired seeds that would decide it; None if none can be named.
        among: of so many pairs it would have to stand out, though its own interval is clear.
    """
    subject = claim.definition.subject.format(a=pair.label_a, b=pair.label_b)
    parts = [
        part for part in (_numbers(claim, pair, effect), _divergence(pair), _rest(kind, pair, more, among)) if part
    ]
    return f"{kind}: {subject}: {'; '.join(parts)}"


def say_claim(kind: str, sentence: str, count: int, pairs: int) -> str:
    """Return the sentence of a claim about several pairs: how many, and the pair that decided."""
    decisive = sentence.partition(": ")[2]
    if kind == "confirmed":
        return f"confirmed in all {pairs} comparisons, for example {decisive}"
    return f"{kind} in {count} of {pairs} comparisons, for example {decisive}"


def _numbers(claim: Claim, pair: Evidence, effect: Interval | None) -> str:
    if effect is None:
        return ""
    show = _factor if claim.definition.over_time else _points if is_fraction(claim.metric) else _plain
    text = f"{claim.metric} {show(effect.mean)}"
    if effect.low is not None and effect.high is not None:
        corrected = f", {CORRECTED}" if pair.overlap else ""
        text += f" (95 % interval {show(effect.low)} to {show(effect.high)}{corrected})"
    return f"{text} over {_amount(effect.n, 'seed')}{_margin(claim)}"


def _margin(claim: Claim) -> str:
    if not claim.margin:
        return ""
    if claim.definition.over_time:
        return f", margin {claim.margin:g}-fold"
    return f", margin {_amount(claim.margin * 100, 'point') if is_fraction(claim.metric) else claim.margin}"


def _divergence(pair: Evidence) -> str:
    names = {pair.label_a: pair.diverged_a, pair.label_b: pair.diverged_b, "both": pair.diverged_both}
    counts = [
        f"{name} diverged in {count} of {_amount(pair.planned, 'seed')}" for name, count in names.items() if count
    ]
    loses = ", which counts as a loss" if pair.diverged_a + pair.diverged_b and pair.label_b else ""
    return " and ".join(counts) + loses if counts else ""


def _rest(kind: str, pair: Evidence, more: int | None, among: int) -> str:
    if kind != "undecided":
        return ""
    if not pair.n:
        return "nothing to compare: both diverged" if pair.diverged_both else "no seed has finished with this metric"
    if len(pair.differences) == 1:
        return "one seed shows no spread: run at least three"
    clear = f"clear alone, not yet as one of {among} comparisons; " if among > 1 else ""
    if more is None:
        return f"{clear}no number of seeds can be named that would decide it"
    return f"{clear}about {_amount(more, 'more paired seed')} would decide it if mean and spread stay"


def _amount(count: float, unit: str) -> str:
    return f"{count:g} {unit}" if count == 1 else f"{count:g} {unit}s"


def _points(value: float) -> str:
    return f"{value * 100:+.2f} points"


def _plain(value: float) -> str:
    return f"{value:+.4g}"


def _factor(value: float) -> str:
    return f"{value:.3g}-fold"
