"""Two sets of runs compared in one line: which test fits their seeds, the difference, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from normlab.errors import UserError, did_you_mean
from normlab.metrics import is_fraction, sign, title_of
from normlab.plurals import plural
from normlab.runs import RunState
from normlab.studies.statistics import (
    CORRECTED,
    Interval,
    Rope,
    bootstrap_means,
    compare_paired,
    holm,
    partly_paired,
    rope,
    standard_error,
    welch,
)
from normlab.studies.study import Study, StudyCell
from normlab.studies.tables import final_value, headline_of, label_of

_FEWEST_PAIRS = 3  # of which a correlation is known
_PAIRED = ("paired t", "corrected resampled t")


@dataclass(frozen=True)
class Side:
    """The runs of one variant.

    Attributes:
        values: seed -> value.
        diverged: how many of its runs did.
        overlap: of the training sets, where its seeds are folds (`statistics.folds`).
    """

    label: str
    values: dict[int, float]
    diverged: int = 0
    overlap: float = 0.0


@dataclass(frozen=True)
class Between:
    """The difference of two sides, a - b in the metric's unit.

    Attributes:
        test: "paired t", "corrected resampled t" of folds, "partly paired t", "Welch's t", or "none" for single runs.
        why: why this test.
        n: pairs of a paired test, else runs of both sides.
        bootstrap: of an unpaired comparison, beside the t interval.
        rope: the answer for a margin, turned so that more is better: `better` speaks for a.
        adjusted_p: the p-value corrected for several comparisons (Holm); None for a single one.
    """

    a: Side
    b: Side
    metric: str
    test: str
    why: str
    difference: Interval
    p_value: float | None
    n: int
    bootstrap: Interval | None = None
    rope: Rope | None = None
    adjusted_p: float | None = None


def between(a: Side, b: Side, metric: str, *, margin: float | None = None, unpaired: bool = False) -> Between:
    """Compare two sides by the sharpest test that their seeds allow.

    Raises: UserError if a side has no run with the metric.
    """
    for side in (a, b):
        if not side.values:
            raise UserError(f"{side.label}: no finished run has {metric}: choose another --metric")
    shared = sorted(a.values.keys() & b.values.keys())
    if not unpaired and len(shared) == len(a.values) == len(b.values):
        found = _paired(a, b, metric, shared)
    else:
        found = _unpaired(a, b, metric, len(shared), unpaired=unpaired)
    if margin is None:
        return found
    interval, turned = found.difference, sign(metric)
    error, degrees = _error(a, b, found)
    if interval.low is None and error is None:
        return found
    return replace(found, rope=rope(turned * interval.mean, error or 0.0, degrees, margin, found.n))


def compare_sides(
    pairs: list[tuple[Side, Side]], metric: str, *, margin: float | None = None, unpaired: bool = False
) -> list[Between]:
    """Compare several pairs; their p-values are Holm-corrected for their number."""
    found = [between(a, b, metric, margin=margin, unpaired=unpaired) for a, b in pairs]
    tested = [each.p_value for each in found if each.p_value is not None]
    if len(found) < 2:
        return found
    adjusted = iter(holm(tested))
    return [each if each.p_value is None else replace(each, adjusted_p=next(adjusted)) for each in found]


def sides_of(study: Study, metric: str, name: str = "") -> list[Side]:
    """Return a side per variant of a study; `name` stands for the label of a single one that nothing names."""
    sides = []
    for values, cells in study.groups():
        label = label_of(values) if values or not name else name
        found = {cell.seed: value for cell in cells if (value := final_value(cell, metric)) is not None}
        sides.append(Side(label, found, sum(_diverged(cell) for cell in cells), study.overlap))
    return sides


def side_named(sides: list[Side], name: str, where: str) -> Side:
    """Return the side of a label. Raises: UserError with the nearest one."""
    for side in sides:
        if side.label == name:
            return side
    raise UserError(f"{where}: no variant '{name}': {did_you_mean(name, [side.label for side in sides])}")


def metric_of(studies: list[Study], asked: str) -> str:
    """Return the metric to compare: as asked, with or without its split, or what one study leads with and all have."""
    known = [
        dict.fromkeys(name for cell in study.finished() for name in (cell.result or {})["metrics"]) for study in studies
    ]
    every = dict.fromkeys(name for names in known for name in names)
    if asked:
        for name in (asked, f"test/{asked}", f"val/{asked}"):
            if name in every or name == "seconds":
                return name
        raise UserError(f"--metric: no run has '{asked}': {did_you_mean(asked, list(every))}")
    leading = [str((cell.result or {})["headline"]) for study in studies for cell in study.finished()]
    shared = [name for name in (*leading, *every) if all(name in names for names in known if names)]
    return (*shared, *leading, headline_of(studies[0]))[0]


def sentence(found: Between) -> str:
    """Return the comparison in a line of a terminal."""
    a, b = found.a.label, found.b.label
    interval = found.difference
    parts = [f"{title_of(found.metric)}: {a} - {b} = {_amount(interval.mean, found.metric)}{_unit(found.metric)}"]
    if interval.low is not None and interval.high is not None:
        parts.append(f"95 % interval {_range(interval, found.metric)}")
    if found.p_value is not None:
        corrected = "" if found.adjusted_p is None else f" (Holm {_p(found.adjusted_p)})"
        parts.append(f"p = {_p(found.p_value)}{corrected}")
    counts = (
        plural(found.n, "pair")
        if found.test in _PAIRED
        else f"{len(found.a.values)} and {plural(len(found.b.values), 'run')}"
    )
    parts.append(f"n = {counts}")
    text = (
        f"{', '.join(parts)}; {found.test}: {found.why}" if found.test != "none" else f"{', '.join(parts)}; {found.why}"
    )
    if found.bootstrap is not None:
        text += f"; bootstrap {_range(found.bootstrap, found.metric)}"
    if found.rope is not None:
        each = found.rope
        margin = f"{_amount(each.margin, found.metric).lstrip('+')}{_unit(found.metric)}"
        text += (
            f"; margin {margin}: P({a} better) {each.better:.3f}, P(equal) {each.equal:.3f}, "
            f"P({b} better) {each.worse:.3f}"
        )
    diverged = [f"{side.diverged} of {side.label} diverged" for side in (found.a, found.b) if side.diverged]
    return "; ".join([text, *diverged])


def _paired(a: Side, b: Side, metric: str, seeds: list[int]) -> Between:
    overlap = _overlap(a, b)
    compared = compare_paired([a.values[seed] for seed in seeds], [b.values[seed] for seed in seeds], overlap=overlap)
    interval, n = compared.difference, compared.n
    test, why = "paired t", "every seed is on both sides"
    if overlap:
        test, why = "corrected resampled t", f"every fold is on both sides; {CORRECTED} (Nadeau & Bengio 2003)"
    if n == 1:
        return Between(a, b, metric, "none", "one pair shows no spread: run more seeds", interval, None, 1)
    if not interval.has_spread:
        why = f"{why}; all differences are equal and show no spread"
        return Between(a, b, metric, test, why, replace(interval, low=None, high=None), None, n)
    return Between(a, b, metric, test, why, interval, compared.p_t, n)


def _unpaired(a: Side, b: Side, metric: str, shared: int, *, unpaired: bool) -> Between:
    x, y = list(a.values.values()), list(b.values.values())
    n = len(x) + len(y)
    if min(len(x), len(y)) < 2:
        mean = sum(x) / len(x) - sum(y) / len(y)
        bare = Interval(mean, None, None, min(len(x), len(y)), None)
        return Between(a, b, metric, "none", "a single run on a side shows no spread: run more seeds", bare, None, n)
    folds = bool(_overlap(a, b))  # no partly paired test is corrected for them
    if shared >= _FEWEST_PAIRS and not unpaired and not folds:
        found = partly_paired(a.values, b.values)
        why = f"{shared} seeds are on both sides, {len(x) - shared} and {len(y) - shared} on one"
        return Between(a, b, metric, "partly paired t", why, found.interval, found.p_value, n)
    found = welch(x, y, overlaps=(a.overlap, b.overlap))
    why = "asked for as unpaired" if unpaired else "no seed is on both sides"
    if shared and not unpaired:
        why = f"{'not all' if folds else f'only {shared}'} of the seeds {'is' if shared == 1 else 'are'} on both sides"
    if folds:
        return Between(a, b, metric, "Welch's t", f"{why}; {CORRECTED}", found.interval, found.p_value, n)
    return Between(a, b, metric, "Welch's t", why, found.interval, found.p_value, n, bootstrap_means(x, y))


def _error(a: Side, b: Side, found: Between) -> tuple[float | None, float]:
    """Return standard error and degrees of freedom of a difference; None for the first where they are not known."""
    if found.test in _PAIRED:
        std = found.difference.std if found.difference.has_spread else None
        return standard_error(std or 0.0, found.n, _overlap(a, b)), found.n - 1.0
    if found.test == "none":
        return None, 0.0
    computed = (
        partly_paired(a.values, b.values)
        if found.test == "partly paired t"
        else welch(list(a.values.values()), list(b.values.values()), overlaps=(a.overlap, b.overlap))
    )
    return computed.error, computed.degrees


def _overlap(a: Side, b: Side) -> float:
    return max(a.overlap, b.overlap)


def _diverged(cell: StudyCell) -> bool:
    return cell.state is RunState.DIVERGED


def _amount(value: float, metric: str) -> str:
    return f"{100 * value:+.2f}" if is_fraction(metric) else f"{value:+.4g}"


def _unit(metric: str) -> str:
    return " points" if is_fraction(metric) else ""


def _range(interval: Interval, metric: str) -> str:
    assert interval.low is not None
    assert interval.high is not None
    return f"[{_amount(interval.low, metric)}, {_amount(interval.high, metric)}]"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def spreads(study: Study, metric: str) -> Mapping[tuple[str, str], tuple[float, int]]:
    """Return (label, label) -> standard deviation of the paired differences and number of pairs, of three or more."""
    sides = sides_of(study, metric)
    found: dict[tuple[str, str], tuple[float, int]] = {}
    for index, a in enumerate(sides):
        for b in sides[index + 1 :]:
            seeds = sorted(a.values.keys() & b.values.keys())
            if len(seeds) >= _FEWEST_PAIRS:
                compared = compare_paired([a.values[seed] for seed in seeds], [b.values[seed] for seed in seeds])
                if compared.difference.std and compared.difference.has_spread:
                    found[a.label, b.label] = (compared.difference.std, len(seeds))
    return found
