"""`python tools/calibrate_ask.py SPIDER_FOLDER [MODEL]`: how often answers are right; writes `calibration.json`.

Every question of Spider's development databases, which the model must not have seen in training, is asked as
`normlab ask` asks: the schema from the file, the first reading that runs. Right is who returns gold's rows
(order-insensitive), where gold, too, reads texts that are numbers as numbers. A logistic curve over the log-odds of the
model's probability is fitted to that, and another one over these and the share of the readings that return the same
rows ("compared"). "Held out" are curves fitted without the question's own database. The file goes beside the model's.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

from normlab.apps.ask.agreement import COMPARED_ROWS, agreement_of
from normlab.apps.ask.confidence import FILE, MIN_CONFIDENCE
from normlab.apps.ask.database import Database
from normlab.apps.ask.numbers_in_text import with_numbers
from normlab.data.sql.spider import DEV_DATABASES, SpiderFolder
from normlab.data.sql.sqlite import QueryResult
from normlab.data.sql.text_numbers import NumberColumns
from normlab.engine.api import load_run
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation import Evaluator


def main(words: list[str]) -> int:
    """Measure, print, write."""
    if len(words) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    run = load_run(words[1] if len(words) == 2 else "spider-sql")
    probability, agreement, right, databases = _ask_all(SpiderFolder(Path(words[0])), run)
    content = calibration(probability, agreement, right, databases)
    text = json.dumps(content, indent=2) + "\n"
    folder = run.path if run.path.is_dir() else run.path.parent
    (folder / FILE).write_text(text, encoding="utf-8")
    print(f"{folder / FILE}\n{text}", end="")
    return 0


def calibration(
    probability: np.ndarray, agreement: np.ndarray, right: np.ndarray, databases: np.ndarray
) -> dict[str, object]:
    """Return what `calibration.json` holds.

    Args:
        probability, agreement: of each answer; the latter is nan where the readings were not compared.
        right: whether it is, as 0 or 1.
        databases: what it is about.
    """
    log_odds = np.log(probability / (1 - probability))[:, None]
    curve, alone = _fitted(log_odds, right, databases)
    known = ~np.isnan(agreement)
    both = np.concatenate([log_odds, agreement[:, None]], 1)[known]
    compared, held_out = _fitted(both, right[known], databases[known])
    low = _sigmoid(curve[0] + log_odds @ curve[1:]) < MIN_CONFIDENCE
    made = "tools/calibrate_ask.py: Spider's development databases, schemas from the files, order-insensitive execution"
    return {
        **dict(zip(("intercept", "slope"), curve.round(4).tolist(), strict=True)),
        "compared": dict(zip(("intercept", "slope", "agreement"), compared.round(4).tolist(), strict=True)),
        "made_by": made,
        "measured": {
            **_measured(alone, right),
            "calibration_error_of_the_probability": round(_calibration_error(probability, right), 4),
            "below_default_threshold": int(low.sum()),
            "right_below_it": int(right[low].sum()),
            "compared": _measured(held_out, right[known]),
        },
    }


def _measured(held_out: np.ndarray, right: np.ndarray) -> dict[str, object]:
    order = np.argsort(-held_out, kind="stable")
    return {
        "questions": len(right),
        "right": round(float(right.mean()), 4),
        "calibration_error_held_out": round(_calibration_error(held_out, right), 4),
        "right_of_the_most_confident": {
            f"{share:.0%}": round(float(right[order[: int(share * len(right))]].mean()), 4)
            for share in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
        },
    }


def _fitted(x: np.ndarray, right: np.ndarray, databases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve of all answers, and what those fitted without an answer's own database say of it."""
    held_out = np.zeros_like(right)
    for name in set(databases):
        own = databases == name
        weights = _fit(x[~own], right[~own])
        held_out[own] = _sigmoid(weights[0] + x[own] @ weights[1:])
    return _fit(x, right), held_out


def _ask_all(folder: SpiderFolder, run: object) -> tuple[np.ndarray, ...]:
    """Probability of each answer, the share of readings with its rows, whether it is right, and its database."""
    rows = [row for row in (*folder.train, *folder.val) if row.db_id in DEV_DATABASES]
    evaluator = Evaluator(folder.schemas, folder.root / "database")
    answers: list[tuple[float, float, float, str]] = []
    for db_id in sorted({row.db_id for row in rows}):
        path = folder.database(db_id)
        if path is None:
            continue
        with warnings.catch_warnings(), Database(path, run, min_confidence=0.0) as database:  # type: ignore[arg-type]
            warnings.simplefilter("ignore")
            numbers = NumberColumns(path)
            for row in (row for row in rows if row.db_id == db_id):
                try:
                    answer = database.question(row.question, limit=COMPARED_ROWS)
                except UserError as error:
                    print(f"{row.source}: {error}", file=sys.stderr)
                    continue
                gold, _ = with_numbers(row.query, numbers.form)
                score = evaluator.score(row.source, (gold, db_id), answer.sql)
                if score.executed_sound is None:
                    continue
                share = None
                if answer.sql == answer.readings[0].sql and answer.columns:
                    share = agreement_of(answer.readings, QueryResult(answer.columns, answer.rows), database.run)
                share = float("nan") if share is None else share
                answers.append((answer.readings[0].probability, share, float(score.executed_sound), db_id))
    probability, agreement, right, databases = map(np.array, zip(*answers, strict=True))
    return probability.clip(1e-12, 1 - 1e-6), agreement, right, databases


def _fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Logistic regression by Newton's method: intercept and slopes. A weak prior keeps the slopes finite."""
    rows, weights = np.concatenate([np.ones((len(x), 1)), x], 1), np.zeros(1 + x.shape[1])
    prior = np.diag([0.0, *([0.01] * x.shape[1])])
    for _ in range(30):
        p = _sigmoid(rows @ weights)
        slope = rows.T @ (y - p) - prior @ weights
        weights += np.linalg.solve(rows.T @ (rows * (p * (1 - p))[:, None]) + prior, slope)
    return weights


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Mean difference of confidence and accuracy over bins of equal size."""
    parts = np.array_split(np.argsort(confidence), bins)
    return sum(abs(confidence[part].mean() - right[part].mean()) * len(part) for part in parts) / len(right)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
