"""`python tools/fit_reranking.py SPIDER_FOLDER [MODEL]`: fit the weights by which a beam's hypotheses are ordered anew.

The model's own validation questions are decoded with a beam of 8: whole databases that its training left out, and that
are none of the test's. Where some hypothesis matches gold exactly and another does not, the weights make those that do
likely (a softmax over the beam; weights are drawn towards the log-probability alone). How strongly is chosen by five
folds of databases. Written to `tasks/text2sql/reranking/weights.json`, with what it gives on the test's databases.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any, cast

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from normlab.engine.api import load_run
from normlab.engine.run import Run
from normlab.runs.atomic import write_text
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.evaluation import Evaluator
from normlab.tasks.text2sql.inputs.data import Text2SqlData, prepare
from normlab.tasks.text2sql.model.decoding import decode
from normlab.tasks.text2sql.reranking.features import NAMES, features
from normlab.tasks.text2sql.reranking.reranker import WEIGHTS

BEAM_SIZE, FOLDS = 8, 5
STRENGTHS = (0.003, 0.01, 0.03, 0.1)
Beam = tuple[str, np.ndarray, np.ndarray]  # database, features of the hypotheses, which match gold exactly


def main(words: list[str]) -> int:
    """Decode, fit, print, write."""
    if len(words) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    run = load_run(words[1] if len(words) == 2 else "spider-sql")
    config = cast(Text2SqlConfig, run.config).model_copy(update={"data": words[0], "databases": ""})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = prepare(config, run.folder.card())
        validation, test = (beams(run, config, data, split) for split in ("val", "test"))
    by_strength = {strength: held_out(validation, strength) for strength in STRENGTHS}
    strength = max(by_strength, key=lambda one: by_strength[one])
    weights = fit(validation, strength)
    content = {
        "weights": dict(zip(NAMES, weights.round(4).tolist(), strict=True)),
        "made_by": "tools/fit_reranking.py: validation questions of spider-sql, beam 8",
        "strength": strength,
        "measured": {
            "validation": {"questions": len(validation), "first": first(validation), "held_out": by_strength[strength]},
            "test": {"questions": len(test), "first": first(test), "reranked": exact(test, weights)},
        },
    }
    text = json.dumps(content, indent=2) + "\n"
    write_text(WEIGHTS, text)
    print(f"{WEIGHTS}\n{text}", end="")
    return 0


def beams(run: Run, config: Text2SqlConfig, data: Text2SqlData, split: str) -> list[Beam]:
    """Decode a split; a question without any hypothesis has an empty beam."""
    examples, items = data.rows.splits[split], data.items[split]
    evaluator = Evaluator(data.rows.schemas, None)
    model: Any = run.model
    answers = dict(decode(model, items, data.questions, config, run.placement, beam_size=BEAM_SIZE))
    found = []
    for place, (example, item) in enumerate(zip(examples, items, strict=True)):
        linked = data.questions.as_read(data.questions.link(example.question, example.db_id), item)
        schema = data.questions.automaton(item).schema
        gold = (example.query, example.db_id)
        matches = [evaluator.score(example.source, gold, answer.sql).exact for answer in answers[place]]
        found.append((example.db_id, features(linked, schema, answers[place]), np.array(matches, dtype=bool)))
    return found


def fit(given: list[Beam], strength: float) -> np.ndarray:
    """Return the weights that make exact hypotheses likely, drawn to the log-probability alone."""
    told = [(x, right) for _, x, right in given if right.any() and not right.all()]
    scale = np.concatenate([x for x, _ in told]).std(0).clip(1e-3)
    start = np.zeros(len(scale))
    start[0] = scale[0]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = strength * float(((weights - start) ** 2).sum()), 2 * strength * (weights - start)
        for x, right in told:
            scores = x / scale @ weights
            total += float(logsumexp(scores) - logsumexp(scores[right])) / len(told)
            share = softmax(scores)
            share[right] -= softmax(scores[right])
            slope = slope + share @ (x / scale) / len(told)
        return total, slope

    solved: np.ndarray = minimize(loss, start, jac=True, method="L-BFGS-B").x
    return solved / scale


def held_out(given: list[Beam], strength: float) -> float:
    """Return the share of exact matches where each fold of databases is ordered by weights fitted to the others."""
    names = sorted({db_id for db_id, _, _ in given})
    right = 0.0
    for fold in range(FOLDS):
        own = {*names[fold::FOLDS]}
        weights = fit([beam for beam in given if beam[0] not in own], strength)
        part = [beam for beam in given if beam[0] in own]
        right += exact(part, weights) * len(part)
    return round(right / len(given), 4)


def exact(given: list[Beam], weights: np.ndarray) -> float:
    """Return the share of questions whose best hypothesis by the weights matches gold exactly."""
    return round(sum(bool(right[np.argmax(x @ weights)]) for _, x, right in given if len(x)) / max(len(given), 1), 4)


def first(given: list[Beam]) -> float:
    """Return the share of questions whose most probable hypothesis matches gold exactly."""
    return round(sum(bool(right[0]) for _, _, right in given if len(right)) / max(len(given), 1), 4)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
