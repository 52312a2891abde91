"""The result in plain words, made from the numbers: who is best, by how much, and how sure that is."""

from __future__ import annotations

from typing import NamedTuple

from normlab.report.blocks import Block, Bullets, Section, Text
from normlab.report.comparing import compare, metric_name, rank
from normlab.report.numbers import difference_text, is_fraction, listing, plural, value_text
from normlab.report.sections.batch_size import by_scheme
from normlab.report.sections.own_batch_norm import pairs_of
from normlab.report.view import StudyView, Variant
from normlab.studies.statistics import Comparison, Interval


class Standing(NamedTuple):
    """A variant behind the best one; `comparison` is best minus this one, None without a common seed."""

    variant: Variant
    comparison: Comparison | None

    @property
    def settled(self) -> bool:
        """True if the difference's interval leaves zero out."""
        low = self.comparison.difference.low if self.comparison else None
        return low is not None and low > 0


def section(view: StudyView) -> Section:
    """Say what was asked, what came out, and what it does not settle."""
    blocks: list[Block] = []
    if view.study.question:
        blocks.append(Text(view.study.question.strip(), tone="lead"))
    blocks += [Text(f"{mixed[0].upper()}{mixed[1:]}.", tone="warning") for mixed in view.study.mixed_inputs()]
    blocks.append(Bullets([_extent(view), *findings(view), *asides(view)]))
    return Section("summary", "Summary", blocks)


def findings(view: StudyView) -> list[str]:
    """Return the sentences on the headline metric."""
    metric = view.headline
    ranked = rank(view.variants, metric)
    if not ranked:
        return ["No run has finished yet, so there is nothing to compare."]
    best, interval = ranked[0]
    if len(ranked) == 1:
        return [f"{best.label}: {metric_name(metric)} {_with_interval(interval, metric)}."]
    sentences = [f"{best.label} has the best {metric_name(metric)}: {_with_interval(interval, metric)}."]
    standings = [Standing(variant, compare(best, variant, metric)) for variant, _ in ranked[1:]]
    if interval.n < 2:
        runner_up = ranked[1]
        gap = _gap(interval.mean - runner_up[1].mean, metric)
        sentences.append(f"{runner_up[0].label} follows {gap} behind, {ranked[-1][0].label} is last.")
        sentences.append(
            "Each variant was trained with one seed. One seed cannot settle which of two close variants is "
            "better: the order may turn with another. Run it with more seeds (--seeds 3) for intervals."
        )
        return sentences
    return sentences + _compared(standings, metric)


def _compared(standings: list[Standing], metric: str) -> list[str]:
    sentences = []
    open_ones = [standing for standing in standings if not standing.settled]
    settled = [standing for standing in standings if standing.settled]
    if settled:
        parts = [f"{standing.variant.label} by {_difference(standing, metric)}" for standing in settled]
        sentences.append(
            f"Behind it, with an interval of the paired difference that leaves zero out: {'; '.join(parts)}."
        )
    if open_ones:
        names = listing([standing.variant.label for standing in open_ones])
        sentences.append(f"Not told apart from it by these seeds: {names}.")
    sentences.append("These are 95 % intervals over the paired seeds, not corrected for the number of comparisons.")
    return sentences


def _difference(standing: Standing, metric: str) -> str:
    assert standing.comparison is not None
    difference = standing.comparison.difference
    if is_fraction(metric):
        return f"{difference_text(difference)} points"
    return f"{difference.mean:.4g}"


def _extent(view: StudyView) -> str:
    cells, seeds = view.cells, len(view.seeds)
    data = f" on {view.data_name}" if view.data_name else ""
    states = [
        f"{sum(cell.state == state for cell in cells)} {state}"
        for state in ("finished", "diverged", "running", "interrupted", "failed", "created", "waiting")
        if any(cell.state == state for cell in cells)
    ]
    size = f"{plural(len(view.variants), 'variant')} × {plural(seeds, 'seed')}"
    return f"{size} of the task {view.study.task}{data}: {plural(len(cells), 'run')}, {listing(states)}."


def asides(view: StudyView) -> list[str]:
    """Return the sentences on batch sizes, on our batch norm against torch's, and on runs that diverged."""
    return [*_batch_sizes(view), *_batch_norms(view), *_diverged(view)]


def _batch_sizes(view: StudyView) -> list[str]:
    """Say what each scheme lost or won from its largest batch to its smallest."""
    sentences = []
    for label, _, variants in by_scheme(view):
        comparison = compare(variants[0], variants[-1], view.headline) if len(variants) > 1 else None
        if comparison is not None:
            small, large = (variants[index].values["batch_size"] for index in (0, -1))
            change = f"{_change(comparison, view.headline)} in {metric_name(view.headline)}"
            sentences.append(f"{label} at batch size {small} instead of {large}: {change}.")
    return sentences


def _batch_norms(view: StudyView) -> list[str]:
    sentences = []
    for built_in, own in pairs_of(view):
        comparison = compare(own, built_in, view.headline)
        if comparison is not None:
            sentences.append(f"{own.label} against {built_in.label}: {_change(comparison, view.headline)}.")
    return sentences


def _change(comparison: Comparison, metric: str) -> str:
    difference = comparison.difference
    amount = f"{difference_text(difference)} points" if is_fraction(metric) else f"{difference.mean:+.4g}"
    return f"{amount} ({plural(comparison.n, 'paired seed')})"


def _diverged(view: StudyView) -> list[str]:
    sentences = []
    for variant in view.variants:
        places = [_place(cell.seed, cell.result["diverged"]) for cell in variant.cells if cell.result.get("diverged")]
        if places:
            sentences.append(f"{variant.label} diverged in {len(places)} of {len(variant.cells)}: {'; '.join(places)}.")
    return sentences


def _place(seed: int, diverged: dict[str, object]) -> str:
    return f"seed {seed} at step {diverged.get('step', '?')} (epoch {diverged.get('epoch', '?')})"


def _with_interval(interval: Interval, metric: str) -> str:
    unit = " %" if is_fraction(metric) else ""
    mean = f"{value_text(interval.mean, metric)}{unit}"
    if interval.low is None:
        return f"{mean} (one seed)"
    low, high = value_text(interval.low, metric), value_text(interval.high, metric)
    return f"{mean} (95 % interval {low} to {high}, n = {interval.n})"


def _gap(difference: float, metric: str) -> str:
    return f"{100 * abs(difference):.2f} points" if is_fraction(metric) else f"{abs(difference):.4g}"
