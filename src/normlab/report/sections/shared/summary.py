"""The result in plain words, made from the numbers: who is best, by how much, and how sure that is."""

from __future__ import annotations

from normlab.metrics import has_direction, is_fraction, title_of
from normlab.plurals import plural
from normlab.report.blocks import Block, Bullets, Section, Text
from normlab.report.comparing import Standing, behind_the_best, change_text, compare_all, missing, rank
from normlab.report.families import by_scheme
from normlab.report.numbers import difference_text, listing, value_text
from normlab.report.sections.registry import offered
from normlab.report.view import StudyView
from normlab.studies.statistics import CORRECTED, Interval
from normlab.studies.versions import mixed_precisions, mixed_versions

_NAMED = 8  # so many variants a sentence lists

_HELP = (
    'The variant with the best mean leads; every other one is compared with it seed by seed. "Beyond chance" '
    'means that the corrected interval of the paired difference leaves zero out. "About 4 more seeds would" is a '
    "estimate: it assumes that mean and spread stay as they are. Points are percentage points."
)


def section(view: StudyView) -> Section:
    """State the question, the result, and what stays undecided."""
    blocks: list[Block] = []
    if view.study.question:
        blocks.append(Text(view.study.question.strip(), tone="lead"))
    if view.caution:
        blocks.append(Text(view.caution, tone="warning"))
    blocks += [Text(f"Left out, because a file is damaged: {line}.", tone="warning") for line in view.study.left_out]
    blocks += [Text(f"{mixed[0].upper()}{mixed[1:]}.", tone="warning") for mixed in view.study.mixed_inputs()]
    blocks += [Text(_sentence(note), tone="note") for note in view.study.notes]
    blocks.append(Bullets([_extent(view), *findings(view), *asides(view)]))
    differing = mixed_versions(cell.environment for cell in view.cells if cell.environment)
    for line in differing + mixed_precisions((cell.config, cell.result) for cell in view.cells):
        blocks.append(Text(f"{line[0].upper()}{line[1:]}.", tone="warning"))
    return Section("summary", "Summary", blocks, help=_HELP)


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}{'' if note[-1] in '?.)' else '.'}"


def findings(view: StudyView) -> list[str]:
    """Return the sentences on the headline metric."""
    metric = view.headline
    if not has_direction(metric):
        return [f"Variants are not ranked: it is not known which way the metric '{metric}' points."]
    ranked = rank(view.variants, metric)
    if not ranked:
        return ["No run has finished yet, so there is nothing to compare."]
    best, interval = ranked[0]
    if len(ranked) == 1:
        return [f"{best.label}: {title_of(metric)} {_with_interval(interval, metric)}."]
    sentences = [f"{best.label} has the best {title_of(metric)}: {_with_interval(interval, metric)}."]
    if max(each.n for _, each in ranked) < 2:
        runner_up = ranked[1]
        gap = _gap(interval.mean - runner_up[1].mean, metric)
        last = f", {ranked[-1][0].label} is last" if len(ranked) > 2 else ""
        sentences.append(f"{runner_up[0].label} follows {gap} behind{last}.")
        sentences.append(
            "Each variant was trained with one seed. One seed cannot settle which of two close variants is "
            "better: the order may change with another seed. Run it with more seeds (--seeds 3) for intervals."
        )
        return sentences
    standings = behind_the_best(view.variants, metric)
    assert standings is not None
    return sentences + _compared(standings[1], metric)


def _compared(standings: list[Standing], metric: str) -> list[str]:
    """Return who is behind beyond chance, who may not be and what would settle it, and the correction."""
    sentences = []
    decided = [standing for standing in standings if standing.decided]
    open_ones = [standing for standing in standings if not standing.decided]
    if decided:
        parts = [f"{standing.variant.label} by {_behind(standing, metric)}" for standing in decided]
        sentences.append(f"Behind it beyond chance: {_short(parts)}.")
    if open_ones:
        parts = [f"{standing.variant.label} ({_open(standing)})" for standing in open_ones]
        sentences.append(f"Not told apart from it by these seeds: {_short(parts)}.")
    compared = sum(standing.adjusted is not None for standing in standings)
    folds = any(standing.variant.overlap for standing in standings)
    if folds:
        sentences.append(
            f"Seeds are folds of a cross-validation: intervals and tests are {CORRECTED} (Nadeau & Bengio 2003)."
        )
    sentences.append(
        f"Differences are paired by {'fold' if folds else 'seed'}. Their intervals and verdicts are Holm-corrected for "
        f"{plural(compared, 'comparison')} with the best, which keeps the chance of even one false verdict below 5 %."
    )
    return sentences


def _behind(standing: Standing, metric: str) -> str:
    assert standing.adjusted is not None
    interval = standing.adjusted.interval
    if is_fraction(metric):
        return f"{difference_text(interval, sign='-')} points"
    return f"{interval.mean:.4g}"


def _open(standing: Standing) -> str:
    parts = [f"diverged in {plural(standing.diverged, 'seed')}"] if standing.diverged else []
    return "; ".join([*parts, missing(standing.adjusted)])


def _short(parts: list[str]) -> str:
    """Join parts; of many, name the first ones: the table of rankings has them all."""
    if len(parts) <= _NAMED:
        return "; ".join(parts)
    return f"{'; '.join(parts[:_NAMED])}; and {len(parts) - _NAMED} more, which stand under Rankings"


def _extent(view: StudyView) -> str:
    cells, seeds = view.cells, len(view.seeds)
    data = f" on {view.data_name}" if view.data_name else ""
    states = [
        f"{sum(cell.state == state for cell in cells)} {state}"
        for state in ("finished", "diverged", "running", "interrupted", "failed", "created", "waiting")
        if any(cell.state == state for cell in cells)
    ]
    size = f"{plural(len(view.variants), 'variant')} × {plural(seeds, 'seed')}"
    task = f" of the task {view.study.task}" if view.study.task else ""
    return f"{size}{task}{data}: {plural(len(cells), 'run')}, {listing(states)}."


def asides(view: StudyView) -> list[str]:
    """Return the sentences on batch sizes, those that other sections offer, and those on runs that diverged."""
    offers = [sentences(view) for sentences in offered(view, "sentences")]
    return [line for lines in (_batch_sizes(view), *offers, _diverged(view)) for line in _first(lines)]


def _batch_sizes(view: StudyView) -> list[str]:
    """Say what each scheme lost or won from its largest batch to its smallest."""
    families = [(label, variants) for label, _, variants in by_scheme(view) if len(variants) > 1]
    differences = compare_all([(variants[0], variants[-1]) for _, variants in families], view.headline)
    sentences = []
    for (label, variants), adjusted in zip(families, differences, strict=True):
        if adjusted is not None:
            small, large = variants[0].batch_size, variants[-1].batch_size
            change = f"{change_text(adjusted, view.headline, len(families))} in {title_of(view.headline)}"
            sentences.append(f"{label} at batch size {small} instead of {large}: {change}.")
    return sentences


def _first(lines: list[str]) -> list[str]:
    """Return the first few of many sentences of one kind, and how many more there are."""
    if len(lines) <= _NAMED // 2:
        return lines
    return [*lines[: _NAMED // 2], f"… and {len(lines) - _NAMED // 2} more of this kind, in a section below."]


def _diverged(view: StudyView) -> list[str]:
    sentences = []
    for variant in view.variants:
        runs = [_run_text(cell.seed, cell.result["diverged"]) for cell in variant.cells if cell.result.get("diverged")]
        if runs:
            sentences.append(f"{variant.label} diverged in {len(runs)} of {len(variant.cells)}: {'; '.join(runs)}.")
    return sentences


def _run_text(seed: int, diverged: dict[str, object]) -> str:
    return f"seed {seed} at step {diverged.get('step', '?')} (epoch {diverged.get('epoch', '?')})"


def _with_interval(interval: Interval, metric: str) -> str:
    unit = " %" if is_fraction(metric) else ""
    mean = f"{value_text(interval.mean, metric)}{unit}"
    if interval.low is None:
        return f"{mean} (one seed)"
    assert interval.high is not None
    ends = (max(interval.low, 0.0), min(interval.high, 1.0)) if is_fraction(metric) else (interval.low, interval.high)
    low, high = (value_text(end, metric) for end in ends)
    return f"{mean} (95 % interval {low} to {high}, n = {interval.n})"


def _gap(difference: float, metric: str) -> str:
    return f"{100 * abs(difference):.2f} points" if is_fraction(metric) else f"{abs(difference):.4g}"
