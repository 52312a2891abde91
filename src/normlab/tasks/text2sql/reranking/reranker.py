"""A linear score over the features of hypotheses; `weights.json` holds what `tools/fit_reranking.py` has fitted.

The weights were fitted to validation questions, over databases that neither training nor the test shows. They are of
one model, the shipped one, and weigh its log-probability against properties that belong to no model.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from normlab.data.sql.schema import Schema
from normlab.json_file import read_json
from normlab.tasks.text2sql.linking.linker import Linked
from normlab.tasks.text2sql.model.decoding import Answer
from normlab.tasks.text2sql.reranking.features import NAMES, features

WEIGHTS = Path(__file__).with_name("weights.json")


def reranked(linked: Linked, schema: Schema, answers: Sequence[Answer]) -> list[Answer]:
    """Return the hypotheses, best first; those with a refusal stand behind all others.

    Args:
        linked: the question and what its words name in the schema.
        schema: what the hypotheses' actions name.
        answers: the hypotheses, with their actions; equal scores keep their order.
    """
    scores = features(linked, schema, answers) @ _weights()
    order = sorted(range(len(answers)), key=lambda place: (answers[place].refusal != "", -scores[place]))
    return [answers[place] for place in order]


@functools.cache
def _weights() -> np.ndarray:
    weights = read_json(WEIGHTS)["weights"]
    return np.array([weights[name] for name in NAMES])
