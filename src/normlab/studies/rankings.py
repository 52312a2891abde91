"""Two looks at a study beside its means: schemes ranked seed by seed, and two trained models example by example."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.studies.statistics import McNemar, Ranking, friedman, mcnemar
from normlab.studies.study import Study
from normlab.studies.tables import axis_values, cells_with, final_value, higher_is_better, product


def rank_combinations(study: Study, metric: str) -> tuple[list[dict[str, Any]], Ranking] | None:
    """Rank all combinations of axis values within each seed; a diverged run ranks last.

    Only seeds count in which every combination is done and has the metric, unless it diverged.
    Returns: the combinations and their ranking in the same order; None for fewer than three of them or two such seeds.
    """
    combinations = product(axis_values(study))
    columns = [
        {cell.seed: _rankable(cell.folder, final_value(cell, metric), metric) for cell in cells_with(study, values)}
        for values in combinations
    ]
    seeds = sorted(set.intersection(*(set(column) for column in columns))) if columns else []
    rows = [[column[seed] for column in columns] for seed in seeds]
    complete = [[value for value in row if value is not None] for row in rows if None not in row]
    if len(complete) < 2 or len(combinations) < 3:
        return None
    return combinations, friedman(complete)


def compare_predictions(a: RunFolder, b: RunFolder, split: str = "test") -> McNemar:
    """Test whether two trained models differ on the same examples of a split (`predictions/SPLIT.csv`).

    Raises: UserError if a file is missing or damaged, or the two were not made of the same examples.
    """
    labels_a, predicted_a = _read(a.predictions / f"{split}.csv")
    labels_b, predicted_b = _read(b.predictions / f"{split}.csv")
    if labels_a != labels_b:
        raise UserError(
            f"{b.predictions / f'{split}.csv'}: its labels are not those of {a.path}: compare runs on the same data"
        )
    return mcnemar(labels_a, predicted_a, predicted_b)


def _rankable(folder: RunFolder, value: float | None, metric: str) -> float | None:
    if value is not None:
        return value if higher_is_better(metric) else -value
    return -math.inf if folder.done and folder.result()["state"] == "diverged" else None


def _read(path: Path) -> tuple[list[int], list[int]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [int(row["label"]) for row in rows], [int(row["prediction"]) for row in rows]
    except FileNotFoundError:
        raise UserError(f"{path}: missing: the run has written no predictions; train it to the end") from None
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: expected columns label and prediction with class numbers: train again") from None
