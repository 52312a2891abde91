"""Runs with equal numbers under different seeds: one run copied, or a seed that the program did not use.

Accuracies on some hundred test images agree by chance now and then. Of n values with standard deviation s that are
written in steps of g, about n (n - 1) g / (4 s sqrt(pi)) pairs agree if they are normal; only more than that is told.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from normlab.plurals import plural
from normlab.runs import RunState
from normlab.studies.study import Study, StudyCell
from normlab.studies.tables import label_of

_NAMED = 5
_CLEARLY_MORE = 1.5  # times as many pairs as chance gives
_UNLIKELY = 0.01  # pairs by chance below which it is not mentioned


def repeated_runs(study: Study) -> list[str]:
    """Return a sentence for each group of finished runs of one variant whose every number is the same.

    Times are not compared: a run that is copied keeps them, one that is repeated does not.
    """
    lines = []
    for values, cells in study.groups():
        finished = [cell for cell in cells if cell.state is RunState.FINISHED]
        repeated = [
            sorted(cell.seed for cell in equal)
            for alike in _grouped(finished, lambda cell: _numbers((cell.result or {})["metrics"]))
            for equal in _grouped(alike, lambda cell: _digest(cell.folder.metrics()))
        ]
        chance = _pairs_by_chance(finished) if repeated else 0.0
        pairs = sum(math.comb(len(seeds), 2) for seeds in repeated)
        if pairs > _CLEARLY_MORE * chance:
            lines += [_sentence(label_of(values), seeds, chance) for seeds in repeated]
    if len(lines) > _NAMED:
        more = plural(len(lines) - _NAMED, "more group of runs is", "more groups of runs are")
        lines[_NAMED:] = [f"{more} equal"]
    return lines


def _sentence(label: str, seeds: Sequence[int], chance: float) -> str:
    named = ", ".join(map(str, seeds[:_NAMED])) + (", ..." if len(seeds) > _NAMED else "")
    text = f"seeds {named} of {label} have the same numbers: was one run copied, or its seed not used?"
    return text if chance < _UNLIKELY else f"{text} (Numbers of so few digits may also agree by chance.)"


def _pairs_by_chance(cells: Sequence[StudyCell]) -> float:
    """Return how many pairs would agree in the metric that is written most finely; none where there are curves."""
    if any(cell.folder.metrics() for cell in cells):
        return 0.0
    columns: dict[str, list[float]] = {}
    for cell in cells:
        for name, value in _numbers((cell.result or {})["metrics"]).items():
            columns.setdefault(name, []).append(value)
    return min((_expected(values) for values in columns.values()), default=0.0)


def _expected(values: Sequence[float]) -> float:
    spread = statistics.pstdev(values)
    if spread == 0:
        return 0.0  # all agree, which no spread explains
    step = 10.0 ** -max(len(f"{value:.12f}".rstrip("0").partition(".")[2]) for value in values)
    return math.comb(len(values), 2) * step / (2 * spread * math.sqrt(math.pi))


def _grouped(cells: Sequence[StudyCell], content: Callable[[StudyCell], object]) -> list[list[StudyCell]]:
    """Return the groups of several cells with the same content."""
    groups: dict[str, list[StudyCell]] = {}
    for cell in cells:
        groups.setdefault(repr(content(cell)), []).append(cell)
    return [group for group in groups.values() if len(group) > 1]


def _digest(records: Iterable[Mapping[str, float]]) -> str:
    """Return what is the same for equal records alone; their text may be large."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(repr(_numbers(record)).encode())
    return digest.hexdigest()


def _numbers(record: Mapping[str, float]) -> dict[str, float]:
    return {name: record[name] for name in sorted(record) if "second" not in name}
