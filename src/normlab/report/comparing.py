"""Variants compared on one metric: the leading one, and its paired differences to the others."""

from __future__ import annotations

from typing import NamedTuple

from normlab.metrics import has_direction, higher_is_better, is_fraction, sign
from normlab.plurals import plural
from normlab.report.numbers import difference_text
from normlab.report.view import StudyView, Variant
from normlab.studies.statistics import Adjusted, Comparison, Interval, adjust, compare_paired, paired_differences


class Standing(NamedTuple):
    """A variant behind the best one.

    `adjusted` is best minus this one, turned so that more is better and corrected for the number of comparisons with
    the best; None without a common seed. `diverged` counts seeds that only this one lost.
    """

    variant: Variant
    adjusted: Adjusted | None
    diverged: int

    @property
    def decided(self) -> bool:
        """True if it is behind beyond chance, corrected for the number of comparisons."""
        return self.adjusted is not None and self.adjusted.decided and self.adjusted.interval.mean > 0


def missing(adjusted: Adjusted | None) -> str:
    """Return what would decide a comparison; empty if it is decided."""
    if adjusted is None:
        return "no common seed"
    if adjusted.decided:
        return ""
    if adjusted.interval.n == 1:
        return "one seed shows no spread"
    if adjusted.more_seeds is None:
        return "no number of seeds can be named that would"
    return f"about {plural(adjusted.more_seeds, 'more seed')} would"


def change_text(adjusted: Adjusted, metric: str, comparisons: int) -> str:
    """Return a paired difference for a sentence: "+1.20 [+0.40, +2.00] points (3 paired seeds, ...)"."""
    interval = adjusted.interval
    amount = f"{difference_text(interval)} points" if is_fraction(metric) else f"{interval.mean:+.4g}"
    corrected = f", Holm-corrected for {comparisons}" if comparisons > 1 and interval.low is not None else ""
    return f"{amount} ({plural(interval.n, 'paired seed')}{corrected})"


def behind_the_best(variants: list[Variant], metric: str) -> tuple[Variant, list[Standing]] | None:
    """Return the variant with the best mean, and how each other one stands to it, in order.

    None without any mean, or where it is not known which way the metric points.
    Holm's correction is over the comparisons with the best: enough for "this one is not the best", though the best was
    chosen by the same data, because the truly best can fail in those comparisons only (Hsu 1981).
    """
    ranked = [variant for variant, _ in rank(variants, metric)] if has_direction(metric) else []
    if not ranked:
        return None
    best, others = ranked[0], ranked[1:]
    differences = compare_all([(best, other) for other in others], metric)
    return best, [
        Standing(other, adjusted, _lost(best, other)) for other, adjusted in zip(others, differences, strict=True)
    ]


def compare_all(pairs: list[tuple[Variant, Variant]], metric: str) -> list[Adjusted | None]:
    """Return each pair's a - b, more is better, Holm-corrected over all pairs.

    None without a common seed, or where it is not known which way the metric points.
    """
    if not has_direction(metric):
        return [None] * len(pairs)
    differences = [_differences(a, b, metric) for a, b in pairs]
    corrected = iter(adjust([each for each in differences if each], overlap=overlap_between(pairs)))
    return [next(corrected) if each else None for each in differences]


def overlap_between(pairs: list[tuple[Variant, Variant]]) -> float:
    """Return the overlap of training sets that pairs are corrected for: 0 unless seeds are folds."""
    return max((variant.overlap for pair in pairs for variant in pair), default=0.0)


def _differences(a: Variant, b: Variant, metric: str) -> list[float]:
    turned = sign(metric)
    of_a, of_b = a.by_seed(metric), b.by_seed(metric)
    seeds = sorted(of_a.keys() & of_b.keys())
    return paired_differences([turned * of_a[seed] for seed in seeds], [turned * of_b[seed] for seed in seeds])


def _lost(best: Variant, other: Variant) -> int:
    finished = {cell.seed for cell in best.trained}
    return sum(cell.state == "diverged" and cell.seed in finished for cell in other.cells)


def rank(variants: list[Variant], metric: str) -> list[tuple[Variant, Interval]]:
    """Return the variants that have the metric with their means, best first.

    Raises: UserError if it is not known which way the metric points.
    """
    measured = [(variant, interval) for variant in variants if (interval := variant.interval(metric)) is not None]
    return sorted(measured, key=lambda pair: pair[1].mean, reverse=higher_is_better(metric))


def leading(view: StudyView) -> Variant | None:
    """Return the variant with the best mean headline metric; None before any run has finished."""
    ranked = rank(view.variants, view.headline)
    return ranked[0][0] if ranked else None


def compare(a: Variant, b: Variant, metric: str) -> Comparison | None:
    """Return the paired comparison a - b over their common seeds; None if they share none."""
    of_a, of_b = a.by_seed(metric), b.by_seed(metric)
    seeds = sorted(of_a.keys() & of_b.keys())
    if not seeds:
        return None
    return compare_paired(
        [of_a[seed] for seed in seeds], [of_b[seed] for seed in seeds], overlap=overlap_between([(a, b)])
    )
