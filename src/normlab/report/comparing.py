"""Variants against one another on one metric: who leads, and by how much under the same seeds."""

from __future__ import annotations

from normlab.report.view import Variant
from normlab.studies.statistics import Comparison, Interval, compare_paired


def rank(variants: list[Variant], metric: str) -> list[tuple[Variant, Interval]]:
    """Return the variants that have the metric with their means, best first; a loss is best when smallest."""
    found = [(variant, interval) for variant in variants if (interval := variant.interval(metric)) is not None]
    return sorted(found, key=lambda pair: pair[1].mean, reverse=not metric.endswith("loss"))


def compare(a: Variant, b: Variant, metric: str) -> Comparison | None:
    """Return the paired comparison a - b over their common seeds; None if they share none."""
    of_a, of_b = a.by_seed(metric), b.by_seed(metric)
    seeds = sorted(of_a.keys() & of_b.keys())
    return compare_paired([of_a[seed] for seed in seeds], [of_b[seed] for seed in seeds]) if seeds else None


def metric_name(metric: str) -> str:
    """Return a metric's name for people: "test accuracy"."""
    return metric.replace("/", " ").replace("_", " ").replace("micro f1", "micro F1").replace("macro f1", "macro F1")
