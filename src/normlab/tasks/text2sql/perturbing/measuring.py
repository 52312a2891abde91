"""A split's questions said differently: the score on those that changed, beside that of the same as they stand.

Only questions that a rule changes are counted, on both sides, so the two scores are of the same questions and the
difference is the rule's. The gold query is the same on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from normlab.data.sql.spider import Example
from normlab.errors import UserError, did_you_mean
from normlab.plurals import plural
from normlab.tasks.base import Placement
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.evaluation import Scores, evaluate_rows
from normlab.tasks.text2sql.inputs.contents import fingerprint_parts, whole_fingerprint
from normlab.tasks.text2sql.inputs.questions import Questions, questions_of
from normlab.tasks.text2sql.inputs.rows import Rows, read_rows
from normlab.tasks.text2sql.measuring import best
from normlab.tasks.text2sql.model.decoding import decode
from normlab.tasks.text2sql.model.network import Text2Sql
from normlab.tasks.text2sql.perturbing.rules import check_kind, perturb
from normlab.tasks.text2sql.perturbing.sentence import sentence_of
from normlab.tasks.text2sql.predictions import records

_METRICS = ("exact_match", "execution", "execution_sound")


@dataclass(frozen=True)
class Perturbed:
    """What a model scores on changed questions.

    Attributes:
        metrics: `exact_match`, `execution` and `execution_sound` on the changed questions, fractions; executions only
            where there are databases.
        summary: plain JSON: the rule, seed, how many questions were looked at and changed, both scores, and how many
            answers the change turns from right to wrong and back, by order-insensitive execution (by exact match
            without databases).
        columns: one row for each changed question: its row in the split, both texts, queries and verdicts.
    """

    metrics: dict[str, float]
    summary: dict[str, Any]
    columns: dict[str, np.ndarray]


@dataclass(frozen=True)
class QuestionsToAsk:
    """A run's questions without what training makes of them: no word vectors are needed, nothing is encoded yet.

    Attributes:
        questions: encodes them as `ask` and `predict` do, everyday words known.
        named: says which words name what by the schemas' own names: these are replaced.
    """

    rows: Rows
    questions: Questions
    named: Questions
    fingerprint: str


def read_questions_to_ask(config: Text2SqlConfig, card: Mapping[str, Any]) -> QuestionsToAsk:
    """Read the questions of a trained run.

    Args:
        config: the run's, `data` being where to look now.
        card: the run's.
    Raises: UserError if these are other questions, schemas or databases than in training.
    """
    rows = read_rows(config)
    parts = fingerprint_parts(rows)
    changed = [name for name, then in card.get("fingerprint_parts", {}).items() if parts.get(name) != then]
    if changed:
        raise UserError(f"{config.data}: other {changed[0]} than the run was trained with: give the same, as --data")
    schemas = [schema.entry() for schema in rows.schemas.values()]
    questions, named = (
        questions_of({**card, "schemas": schemas}, rows.databases, config.linking, everyday=everyday)
        for everyday in (True, False)
    )
    return QuestionsToAsk(rows, questions, named, whole_fingerprint(parts))


def variants(data: QuestionsToAsk, split: str, kind: str, *, seed: int, every: int = 1) -> list[tuple[int, str]]:
    """Return (row, question said differently) for each of every `every`-th row that the rule changes."""
    found = []
    for row in range(0, len(data.rows.splits[split]), every):
        example = data.rows.splits[split][row]
        linked = data.named.link(example.question, example.db_id)
        sentence = sentence_of(linked, data.named.schemas[example.db_id], example.query)
        if changed := perturb(kind, sentence, seed):
            found.append((row, changed))
    return found


@torch.inference_mode()
def measure_perturbed(
    model: Text2Sql,
    data: QuestionsToAsk,
    split: str,
    kind: str,
    *,
    seed: int,
    every: int,
    config: Text2SqlConfig,
    placement: Placement,
    corrected: bool = False,
) -> Perturbed:
    """Ask a split's questions as they stand and said differently.

    Args:
        kind, seed: see `perturb`.
        every: 8 looks at the rows 1, 9, 17, ... of the split.
        corrected: answer as `predict` and `ask` do, who read the database's file and put rules after the model.
    Raises: UserError for an unknown rule or split, where the rule changes no question, or without databases to read.
    """
    check_kind(kind)
    if corrected and not data.rows.databases.is_dir():
        raise UserError(f"--corrected: there are no databases at {data.rows.databases}, which the rules read")
    if split not in data.rows.splits:
        raise UserError(f"unknown split '{split}': {did_you_mean(split, data.rows.splits)}")
    changed = variants(data, split, kind, seed=seed, every=every)
    looked_at = -(-len(data.rows.splits[split]) // every)
    if not changed:
        raise UserError(
            f"'{kind}' changes none of {plural(looked_at, 'question')} of {split}: take another rule, or more rows"
        )
    examples = [data.rows.splits[split][row] for row, _ in changed]
    plain, other = (
        _scores(model, data, examples, questions, config, placement, corrected)
        for questions in ([example.question for example in examples], [question for _, question in changed])
    )
    before, after = _right(plain), _right(other)
    summary = {
        "kind": kind,
        "seed": seed,
        "every": every,
        "corrected": corrected,
        "questions": looked_at,
        "changed": len(changed),
        "as_they_stand": _numbers(plain),
        "said_differently": _numbers(other),
        "lost": int((before & ~after).sum()),
        "gained": int((~before & after).sum()),
    }
    columns = {
        "row": np.array([row + 1 for row, _ in changed]),
        "db_id": np.array([example.db_id for example in examples]),
        "right_before": before.astype(int),
        "right": after.astype(int),
        "question_before": _cells(example.question for example in examples),
        "question": _cells(question for _, question in changed),
        "prediction_before": _cells(row.predicted for row in plain.rows),
        "prediction": _cells(row.predicted for row in other.rows),
    }
    return Perturbed(_numbers(other), summary, columns)


def _scores(
    model: Text2Sql,
    data: QuestionsToAsk,
    examples: Sequence[Example],
    questions: Sequence[str],
    config: Text2SqlConfig,
    placement: Placement,
    corrected: bool,
) -> Scores:
    pairs = list(zip(questions, (example.db_id for example in examples), strict=True))
    if corrected:
        source = [(question, data.questions.file(db_id) or db_id) for question, db_id in pairs]
        predicted = [record["sql"] for record in records(model, source, data.questions, config, placement)]
    else:
        items = [data.questions.encode(question, db_id)[0] for question, db_id in pairs]
        run, size = config.execution_filter, config.beam_size
        answers = dict(decode(model, items, data.questions, config, placement, beam_size=size, run=run))
        predicted = [best(answers[index]) for index in range(len(items))]
    gold = [(example.query, example.db_id) for example in examples]
    databases = data.rows.databases if data.rows.databases.is_dir() else None
    return evaluate_rows(gold, predicted, schemas=data.rows.schemas, databases=databases)


def _numbers(scores: Scores) -> dict[str, float]:
    return {name: scores[name] for name in _METRICS if scores[name] is not None}


def _right(scores: Scores) -> np.ndarray:
    """Whether each row is right: by its result where that is known, else by exact match."""
    return np.array([row.exact if row.executed_sound is None else row.executed_sound for row in scores.rows])


def _cells(texts: Any) -> np.ndarray:
    return np.array(['"' + " ".join(text.split()).replace('"', '""') + '"' for text in texts])
