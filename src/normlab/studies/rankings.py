"""Two looks at a study beside its means: schemes ranked seed by seed, and two trained models example by example."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.metrics import sign
from normlab.reading import read_text
from normlab.runs import RunFolder, RunState
from normlab.studies.statistics import McNemar, Ranking, friedman, mcnemar, wilcoxon_holm
from normlab.studies.study import Study, StudyCell
from normlab.studies.tables import final_value


def rank_combinations(study: Study, metric: str) -> tuple[list[dict[str, Any]], Ranking] | None:
    """Rank all combinations of axis values within each seed; a diverged run ranks last.

    Only seeds count in which every combination is done and has the metric, unless it diverged.
    Returns: the combinations and their ranking in the same order; None for fewer than three of them or two such seeds.
    """
    combinations, complete = _complete(study, metric)
    if len(complete) < 2 or len(combinations) < 3:
        return None
    return combinations, friedman(complete)


def pairs_apart(study: Study, metric: str) -> tuple[list[tuple[dict[str, Any], dict[str, Any], float]], int] | None:
    """Return the pairs of combinations that Wilcoxon's signed-rank test tells apart at 5 %.

    Holm's correction is over all pairs. The seeds of `rank_combinations` count. The better of a pair stands first.

    Returns: (pairs with their p-values, number of seeds); None for fewer than two combinations or seeds.
    """
    combinations, complete = _complete(study, metric)
    if len(complete) < 2 or len(combinations) < 2:
        return None
    apart = []
    for (i, j), p_value in wilcoxon_holm(complete).items():
        if p_value < 0.05:
            wins = sum((row[i] > row[j]) - (row[i] < row[j]) for row in complete)
            first, second = (i, j) if wins >= 0 else (j, i)
            apart.append((combinations[first], combinations[second], p_value))
    return apart, len(complete)


def _complete(study: Study, metric: str) -> tuple[list[dict[str, Any]], list[list[float]]]:
    """Return the combinations and, for each seed that all have, their values turned so that more is better."""
    groups = study.groups()
    combinations = [values for values, _ in groups]
    columns = [{cell.seed: _rankable(cell, final_value(cell, metric), metric) for cell in cells} for _, cells in groups]
    seeds = sorted(set.intersection(*(set(column) for column in columns))) if columns else []
    rows = [[column[seed] for column in columns] for seed in seeds]
    return combinations, [[value for value in row if value is not None] for row in rows if None not in row]


def compare_predictions(a: RunFolder, b: RunFolder, split: str = "test") -> McNemar:
    """Test whether two trained models differ on the same examples of a split (`predictions/SPLIT.csv`).

    Raises: UserError if a file is missing or damaged, or the two were not made of the same examples.
    """
    return compare_read(read_predictions(a, split), read_predictions(b, split))


@dataclass(frozen=True)
class Predictions:
    """What a run predicted on a split, example by example, as class numbers."""

    path: Path
    labels: list[int]
    predicted: list[int]


def compare_read(a: Predictions, b: Predictions) -> McNemar:
    """Do `compare_predictions` with files that have been read."""
    if a.labels != b.labels:
        raise UserError(f"{b.path}: its labels are not those of {a.path}: compare runs on the same data")
    return mcnemar(a.labels, a.predicted, b.predicted)


def read_predictions(run: RunFolder, split: str = "test") -> Predictions:
    """Read `predictions/SPLIT.csv`.

    Raises: UserError if it is missing, or has no columns label and prediction with class numbers.
    """
    path = run.predictions / f"{split}.csv"
    if not path.exists():
        raise UserError(f"{path}: missing: the run has written no predictions; train it to the end")
    rows = csv.reader(read_text(path).splitlines())
    try:
        header = next(rows)
        label, prediction = header.index("label"), header.index("prediction")
        pairs = [(int(row[label]), int(row[prediction])) for row in rows]
    except (IndexError, StopIteration, ValueError, csv.Error):
        raise UserError(f"{path}: expected columns label and prediction with class numbers: train again") from None
    return Predictions(path, [pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _rankable(cell: StudyCell, value: float | None, metric: str) -> float | None:
    if value is not None:
        return sign(metric) * value
    return -math.inf if cell.result is not None and cell.state is RunState.DIVERGED else None
