"""`python tools/learned_confidence.py [CUTS]`: does a calibration hold for a model that learned from pairs?

`normlab ask --learn` fine-tunes the shipped model on the 120 pairs of examples/learning/library.py and holds some 30 of
them out. These are asked as `normlab ask` asks, of the shipped model and of the learned one, both with the shipped
calibration. It holds where the mean confidence is near the share of right answers. Cut 0 is the command's own; each
further one learns from other pairs. Questions that are refused have no confidence and are not counted.
"""

from __future__ import annotations

import runpy
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from normlab.apps.ask.confidence import MIN_CONFIDENCE, Calibration, calibration_of
from normlab.apps.ask.database import Database
from normlab.apps.ask.learning import learn
from normlab.data.sql.pairs import Pair
from normlab.data.sql.schema import Schema
from normlab.data.streams import permutation
from normlab.engine.api import Run, load_run
from normlab.errors import UserError
from normlab.tasks.text2sql.evaluation import Evaluator

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = runpy.run_path(str(ROOT / "examples" / "learning" / "library.py"))
MODEL = "spider-sql"


def main(words: list[str]) -> int:
    """Learn, ask, print."""
    cuts = int(words[0]) if words else 1
    start = load_run(MODEL)
    curve = calibration_of(start)
    assert curve is not None
    found: dict[str, list[tuple[float, bool]]] = {"shipped": [], "learned": []}
    print("| cut | model | held out | right | mean confidence | below the threshold, of them right |")
    print("|---|---|---:|---:|---:|---:|")
    for cut in range(cuts):
        with tempfile.TemporaryDirectory(prefix="normlab-learned-") as scratch:
            for name, answers in _measure(Path(scratch), cut, start, curve).items():
                found[name] += answers
                print(_row(str(cut), name, answers), flush=True)
    for name, answers in found.items():
        print(_row("all", name, answers))
    return 0


def _measure(folder: Path, cut: int, start: Run, curve: Calibration) -> dict[str, list[tuple[float, bool]]]:
    """Return confidence and rightness of each held-out question, by the shipped and by the learned model."""
    database, _ = LIBRARY["write"](folder / "library")
    pairs = [Pair(question, sql, f"pair {number}") for number, (question, sql) in enumerate(LIBRARY["PAIRS"], start=1)]
    if cut:
        pairs = [pairs[number] for number in permutation(len(pairs), cut, "cut of the pairs")]
    learned = learn(database, pairs, folder / "model", model=start)
    run = load_run(learned.folder.path)
    held_out = list(run.task.prepare(run.config).rows.splits["test"])
    evaluator = Evaluator({"library": Schema.from_sqlite(database, "library")}, folder)
    asked = {}
    for name, model in (("shipped", start), ("learned", run)):
        answers = []
        with warnings.catch_warnings(), Database(database, model, min_confidence=0) as opened:
            warnings.simplefilter("ignore")
            for row in held_out:
                try:
                    answer = opened.question(row.question, limit=1)
                except UserError as error:
                    print(f"{row.question}: {error}", file=sys.stderr)
                    continue
                right = evaluator.score(row.source, (row.query, "library"), answer.sql).executed_sound
                answers.append((curve.confidence(answer.probability), bool(right)))
        asked[name] = answers
    return asked


def _row(cut: str, name: str, answers: list[tuple[float, bool]]) -> str:
    confidence, right = np.array([value for value, _ in answers]), np.array([value for _, value in answers])
    low = confidence < MIN_CONFIDENCE
    shares = f"{right.mean():.0%} | {confidence.mean():.0%}"
    return f"| {cut} | {name} | {len(answers)} | {shares} | {int(low.sum())}, {int(right[low].sum())} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
