"""The variants compared in four ways: by means, by ranks, run against run, and example by example."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from normlab.errors import UserError
from normlab.metrics import heading, is_fraction, lower_is_better, sign, title_of
from normlab.plurals import plural
from normlab.report.blocks import Block, Cell, Column, Figure, Section, Table, Text
from normlab.report.comparing import Standing, behind_the_best, missing
from normlab.report.figures.improvement import improvement_figure
from normlab.report.figures.multiples import MANY
from normlab.report.numbers import DASH, difference_text, p_text, value_text
from normlab.report.view import StudyView, Variant
from normlab.studies.rankings import Predictions, compare_read, pairs_apart, read_predictions
from normlab.studies.statistics import holm, probability_of_improvement
from normlab.studies.study import Study

_FOLDS = " Both tests take folds for independent, which they are not: their p-values are too small."
_HELP = (
    "Behind the best: the mean of the paired differences, with the interval and the p-value that Holm's "
    "correction for the number of rows leaves. Mean rank: 1 is best; ranks are taken within each seed, and "
    "diverged runs come last. Best wins: the probability that a run of the best variant beats a run of this one, "
    "whatever their seeds (50 % is a toss-up), with its 95 % interval. Examples: those that only the best variant "
    "has right, against those that only this one has right, over the runs that share a seed, with the number of "
    "runs in which McNemar's exact test tells the two trained models apart (Holm-corrected); it compares these "
    "weights, not the schemes."
)


_FEWEST_FOR_WILCOXON = 6  # 2 / 2^5 is more than 5 %
_NAMED = 6


class Examples(NamedTuple):
    """Two variants example by example, over the seeds that both predicted."""

    only_best: int
    only_other: int
    apart: int  # seeds in which McNemar's test tells them apart, corrected for all seeds and variants
    seeds: int


def section(view: StudyView) -> Section | None:
    """Show the table once two variants have a common seed."""
    compared = behind_the_best(view.variants, view.headline)
    if compared is None or not any(standing.adjusted for standing in compared[1]):
        return None
    best, standings = compared
    blocks: list[Block] = [*_friedman(view), ranking_table(view, best, standings)]
    ours = [best, *(standing.variant for standing in standings)]
    if 2 < len(ours) <= 2 * MANY and len(view.seeds) > 1:
        runs = [(variant.label, list(variant.by_seed(view.headline).values())) for variant in ours]
        title = f"Probability that a run of the row beats a run of the column, in {title_of(view.headline)} (%)"
        figure = improvement_figure(runs, lower_is_better=lower_is_better(view.headline))
        blocks.append(Figure("improvement", title, figure))
    return Section("rankings", "Rankings", blocks, help=_HELP)


def ranking_table(view: StudyView, best: Variant, standings: list[Standing]) -> Table:
    """Return the best variant and, below, how each other one stands to it."""
    metric = view.headline
    ranks = _mean_ranks(view)
    examples = against_best(view.study, best, [standing.variant for standing in standings])
    columns = [
        Column("Variant", numeric=False),
        Column(heading(metric)),
        Column("Behind the best", hint="percentage points" if is_fraction(metric) else "in the metric's own unit"),
        Column("Holm p"),
        Column("Seeds"),
        Column("Mean rank"),
        Column("Best wins, %"),
        Column("Examples", hint="right by the best alone : right by this one alone"),
        Column("Verdict", numeric=False),
    ]
    rows = [[_name(best), _mean(best, metric), *_dashes(2), _seeds(best, metric), _rank(ranks, best), *_dashes(2)]]
    rows[0].append(Cell("the best mean", sort="0"))
    for standing in standings:
        cells = [_name(standing.variant), _mean(standing.variant, metric), *_difference(standing, metric)]
        cells += [_rank(ranks, standing.variant), _wins(best, standing.variant, metric)]
        cells += [_examples(examples.get(standing.variant.label)), _verdict(standing)]
        rows.append(cells)
    filled = [index for index in range(len(columns)) if any(row[index].text != DASH for row in rows)]
    return Table("rankings", [columns[index] for index in filled], [[row[index] for index in filled] for row in rows])


def against_best(study: Study, best: Variant, others: list[Variant]) -> dict[str, Examples]:
    """Return label -> McNemar's comparison with the best one, over the seeds whose predictions can be read."""
    if not study.task:
        return {}  # results of other programs: no example is known
    read = _reader(study)
    tests_of: dict[str, list[tuple[int, int, float]]] = {}
    of_best = {cell.seed: cell.name for cell in best.trained}
    for other in others:
        of_other = {cell.seed: cell.name for cell in other.trained}
        for seed in sorted(of_best.keys() & of_other.keys()):
            first, second = read(of_best[seed]), read(of_other[seed])
            if first is None or second is None or first.labels != second.labels:
                continue
            test = compare_read(first, second)
            tests_of.setdefault(other.label, []).append((test.only_a, test.only_b, test.p_value))
    adjusted = iter(holm([p for tests in tests_of.values() for _, _, p in tests]))
    counted: dict[str, Examples] = {}
    for label, tests in tests_of.items():
        apart = sum(next(adjusted) < 0.05 for _ in tests)
        counted[label] = Examples(sum(a for a, _, _ in tests), sum(b for _, b, _ in tests), apart, len(tests))
    return counted


def _reader(study: Study) -> Callable[[str], Predictions | None]:
    """Return a function from a cell's name to its test predictions, None where there are none; each is read once."""
    folders = {cell.name: cell.folder for cell in study.cells}
    read: dict[str, Predictions | None] = {}

    def get(name: str) -> Predictions | None:
        if name not in read:
            try:
                read[name] = read_predictions(folders[name])
            except UserError:  # another task's predictions, or none: the table then has no column of examples
                read[name] = None
        return read[name]

    return get


def _mean_ranks(view: StudyView) -> dict[str, float]:
    ranked = view.ranked
    if ranked is None:
        return {}
    return {str(values): mean for values, mean in zip(ranked[0], ranked[1].mean_ranks, strict=True)}


def _friedman(view: StudyView) -> list[Block]:
    ranked = view.ranked
    if ranked is None:
        return []
    ranking = ranked[1]
    finding = "ranks them alike" if ranking.p_value >= ranking.alpha else "finds that their ranks differ"
    return [
        Text(
            f"Friedman's test over {plural(ranking.n, 'complete seed')} and {plural(len(ranked[0]), 'variant')} "
            f"{finding} "
            f"(p {p_text(ranking.p_value)}). Mean ranks farther apart than {ranking.critical_difference:.2f} differ "
            f"(Nemenyi, 5 %). {_wilcoxon(view)}{_FOLDS if view.study.overlap else ''}"
        )
    ]


def _wilcoxon(view: StudyView) -> str:
    """Say which pairs differ by a test that, unlike Nemenyi's, does not depend on the other variants."""
    found = pairs_apart(view.study, view.headline)
    if found is None or found[1] < _FEWEST_FOR_WILCOXON:
        return "Wilcoxon's signed-rank test of each pair needs six complete seeds to find any difference at 5 %."
    labels = {str(variant.values): variant.label for variant in view.variants}
    pairs = [f"{labels[str(a)]} above {labels[str(b)]}" for a, b, _ in found[0]]
    text = "; ".join(pairs[:_NAMED]) + (f"; and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else "")
    return f"Wilcoxon's signed-rank test, Holm-corrected over all pairs, finds {text or 'no pair that differs'} (5 %)."


def _name(variant: Variant) -> Cell:
    return Cell(variant.label, style=variant.style)


def _mean(variant: Variant, metric: str) -> Cell:
    interval = variant.interval(metric)
    return Cell(DASH) if interval is None else Cell(value_text(interval.mean, metric), sort=f"{interval.mean:.8g}")


def _seeds(variant: Variant, metric: str) -> Cell:
    return Cell(str(len(variant.by_seed(metric))))


def _rank(ranks: dict[str, float], variant: Variant) -> Cell:
    mean = ranks.get(str(variant.values))
    return Cell(DASH) if mean is None else Cell(f"{mean:.2f}")


def _difference(standing: Standing, metric: str) -> list[Cell]:
    if standing.adjusted is None:
        return [*_dashes(2), Cell("0")]
    interval, p_value = standing.adjusted.interval, standing.adjusted.p_value
    text, detail = f"{interval.mean:.4g}", ""
    if is_fraction(metric):
        text, _, detail = difference_text(interval).removeprefix("+").partition(" ")
    return [
        Cell(text, detail, sort=f"{interval.mean:.8g}", hint=f"{100 * interval.level:.4g} % interval"),
        Cell(p_text(p_value), sort=f"{p_value:.6g}") if interval.n > 1 else Cell(DASH),
        Cell(str(interval.n)),
    ]


def _wins(best: Variant, other: Variant, metric: str) -> Cell:
    a, b = ([sign(metric) * value for value in variant.by_seed(metric).values()] for variant in (best, other))
    if len(a) < 2 or len(b) < 2:
        return Cell(DASH)
    probability = probability_of_improvement(a, b)
    assert probability.low is not None
    assert probability.high is not None
    return Cell(
        f"{100 * probability.mean:.0f}",
        f"{100 * probability.low:.0f} to {100 * probability.high:.0f}",
        sort=f"{probability.mean:.4f}",
    )


def _examples(examples: Examples | None) -> Cell:
    if examples is None:
        return Cell(DASH)
    return Cell(
        f"{examples.only_best:,} : {examples.only_other:,}",
        f"apart in {examples.apart} of {examples.seeds}",
        sort=str(examples.only_best - examples.only_other),
    )


def _verdict(standing: Standing) -> Cell:
    diverged = f"diverged in {plural(standing.diverged, 'seed')}" if standing.diverged else ""
    if standing.decided:
        return Cell("behind", diverged, sort="1")
    rest = missing(standing.adjusted)
    detail = rest.removesuffix(" would") + " would settle it" if rest.endswith(" would") else rest
    return Cell("undecided", "; ".join(part for part in (diverged, detail) if part), sort="2")


def _dashes(count: int) -> list[Cell]:
    return [Cell(DASH)] * count
