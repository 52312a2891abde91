"""`python tools/calibrate_ask.py SPIDER_FOLDER [MODEL]`: how often answers are right; writes `calibration.json`.

Every question of Spider's development databases, which the model must not have seen in training, is asked as
`normlab ask` asks: the schema from the file, the first reading that runs. Right is who returns gold's rows
(order-insensitive). A logistic curve over the log-odds of the model's probability is fitted to that. "Held out" are
curves fitted without the question's own database. The file goes beside the model's.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

from normlab.apps.ask import Database
from normlab.apps.ask.confidence import FILE, MIN_CONFIDENCE
from normlab.data.sql.spider import DEV_DATABASES, SpiderFolder
from normlab.engine.api import load_run
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation import Evaluator


def main(words: list[str]) -> int:
    """Measure, print, write."""
    if len(words) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    run = load_run(words[1] if len(words) == 2 else "spider-sql")
    probability, right, databases = _ask_all(SpiderFolder(Path(words[0])), run)
    log_odds = np.log(probability / (1 - probability))
    intercept, slope = _fit(log_odds, right)
    fitted, held_out = _sigmoid(intercept + slope * log_odds), np.zeros_like(right)
    for name in set(databases):
        own = databases == name
        a, b = _fit(log_odds[~own], right[~own])
        held_out[own] = _sigmoid(a + b * log_odds[own])
    low = fitted < MIN_CONFIDENCE
    measured = {
        "questions": len(right),
        "right": round(float(right.mean()), 4),
        "calibration_error_held_out": round(_calibration_error(held_out, right), 4),
        "calibration_error_of_the_probability": round(_calibration_error(probability, right), 4),
        "below_default_threshold": int(low.sum()),
        "right_below_it": int(right[low].sum()),
        "right_of_the_most_confident": {
            f"{share:.0%}": round(float(right[np.argsort(-held_out)[: int(share * len(right))]].mean()), 4)
            for share in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
        },
    }
    made = "tools/calibrate_ask.py: Spider's development databases, schemas from the files, order-insensitive execution"
    content = {"intercept": round(intercept, 4), "slope": round(slope, 4), "made_by": made, "measured": measured}
    text = json.dumps(content, indent=2) + "\n"
    folder = run.path if run.path.is_dir() else run.path.parent
    (folder / FILE).write_text(text, encoding="utf-8")
    print(f"{folder / FILE}\n{text}", end="")
    return 0


def _ask_all(folder: SpiderFolder, run: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of each answer, whether it is right, and its database."""
    rows = [row for row in (*folder.train, *folder.val) if row.db_id in DEV_DATABASES]
    evaluator = Evaluator(folder.schemas, folder.root / "database")
    answers: list[tuple[float, float, str]] = []
    for db_id in sorted({row.db_id for row in rows}):
        path = folder.database(db_id)
        if path is None:
            continue
        with warnings.catch_warnings(), Database(path, run, min_confidence=0.0) as database:  # type: ignore[arg-type]
            warnings.simplefilter("ignore")
            for row in (row for row in rows if row.db_id == db_id):
                try:
                    answer = database.question(row.question, limit=1)
                except UserError as error:
                    print(f"{row.source}: {error}", file=sys.stderr)
                    continue
                score = evaluator.score(row.source, (row.query, db_id), answer.sql)
                if score.executed_sound is not None:
                    answers.append((answer.readings[0].probability, float(score.executed_sound), db_id))
    probability, right, databases = map(np.array, zip(*answers, strict=True))
    return probability.clip(1e-12, 1 - 1e-6), right, databases


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Logistic regression by Newton's method: intercept and slope."""
    rows, weights = np.stack([np.ones_like(x), x], 1), np.zeros(2)
    for _ in range(30):
        p = _sigmoid(rows @ weights)
        weights += np.linalg.solve(rows.T @ (rows * (p * (1 - p))[:, None]), rows.T @ (y - p))
    return float(weights[0]), float(weights[1])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Mean difference of confidence and accuracy over bins of equal size."""
    parts = np.array_split(np.argsort(confidence), bins)
    return sum(abs(confidence[part].mean() - right[part].mean()) * len(part) for part in parts) / len(right)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
