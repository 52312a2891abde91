"""From a trained model to SQL: beam search over the grammar's actions, and which hypotheses run.

The step keeps one small state per hypothesis and reads what belongs to the question through its row, so that a search
copies no memories. Scores are log-probabilities under the grammar's mask, renormalised as in training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from normlab.data.sql.sqlite import QueryError, QueryLimit, run_query
from normlab.errors import UserError
from normlab.nn.beam import Hypothesis, beam_search
from normlab.tasks.base import Placement
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.grammar.actions import BEGIN, END_NUMBER
from normlab.tasks.text2sql.grammar.automaton import Action
from normlab.tasks.text2sql.grammar.masks import BatchConstraint
from normlab.tasks.text2sql.inputs.data import evaluation_batches
from normlab.tasks.text2sql.inputs.encoding import Batch, Item
from normlab.tasks.text2sql.inputs.questions import Questions
from normlab.tasks.text2sql.model.network import Text2Sql, real_actions

_RUN_SECONDS = 2.0
_State = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Answer:
    """A query with its score.

    Attributes:
        sql: the query.
        score: the log-probability over length ** length_penalty.
        log_prob: the log-probability itself.
        refusal: why the query must not be run, "" if it may.
        actions: what the query was written from.
        added: names of tables that were put between others that no key joins.
    """

    sql: str
    score: float
    log_prob: float
    refusal: str = ""
    actions: tuple[Action, ...] = field(default=(), repr=False)
    added: tuple[str, ...] = ()


def decode(
    model: Text2Sql,
    items: list[Item],
    questions: Questions,
    config: Text2SqlConfig,
    placement: Placement,
    *,
    beam_size: int,
    run: bool = False,
) -> Iterator[tuple[int, list[Answer]]]:
    """Yield (index, answers best first) for each item, in the order of the batches.

    Args:
        run: put the first answer that runs on the item's database in front.
    """
    size = max(1, config.eval_batch_size * 2 // (1 + beam_size // 2))
    for rows, batch in evaluation_batches(items, questions, size, placement, gold=False):
        batch_items = [items[row] for row in rows]
        best_answers = search(model, batch, batch_items, questions, config, placement, beam_size=beam_size)
        for row, item, answers in zip(rows.tolist(), batch_items, best_answers, strict=True):
            if run:
                answers = running_first(answers, questions.file(questions.automaton(item).schema.db_id))
            yield row, answers


@torch.inference_mode()
def search(
    model: Text2Sql,
    batch: Batch,
    items: list[Item],
    questions: Questions,
    config: Text2SqlConfig,
    placement: Placement,
    *,
    beam_size: int,
) -> list[list[Answer]]:
    """Return each question's answers, best first; those with a refusal stand behind all others."""
    automata = [questions.automaton(item) for item in items]
    constraint = BatchConstraint(automata, [item.values for item in items], batch.item_mask.shape[1])
    hypotheses = hypotheses_of(model, batch, constraint, config, placement, beam_size=beam_size)
    answers = []
    for row, (item, beam) in enumerate(zip(items, hypotheses, strict=True)):
        first = len(automata[row].schema.tables)
        named = item.item_links[first:, 0].tolist()
        found = [_answer(one, row, constraint, named) for one in beam if one.finished]
        answers.append(sorted(found, key=lambda answer: answer.refusal != ""))
    return answers


@torch.inference_mode()
def hypotheses_of(
    model: Text2Sql,
    batch: Batch,
    constraint: BatchConstraint,
    config: Text2SqlConfig,
    placement: Placement,
    *,
    beam_size: int,
) -> list[list[Hypothesis]]:
    """Search a batch; tokens are the batch's own numbers."""
    with placement.autocast():
        encoded = model.encode(batch)
    missing = ~real_actions(batch)
    rows = torch.arange(len(batch.words), device=batch.words.device)

    def step(tokens: Tensor, state: _State) -> tuple[Tensor, _State]:
        question, h, c, output = state
        with placement.autocast():
            scores, after = model.step(tokens, question, encoded, (h, c, output))
        scores = scores.float().masked_fill(missing[question], -math.inf)
        return scores.log_softmax(-1), (question, *after)

    return beam_search(
        step,
        (rows, *encoded.start),
        beam_size=beam_size,
        n_best=beam_size,
        max_length=config.max_actions,
        bos=BEGIN,
        eos=END_NUMBER,
        length_penalty=config.length_penalty,
        constraint=constraint,
        renormalise=config.mask_training,
    )


def _answer(hypothesis: Hypothesis, row: int, constraint: BatchConstraint, named: list[int]) -> Answer:
    actions = constraint.actions(row, hypothesis.tokens)
    sql, tables = constraint.written(row, actions, named)
    refusal = f"no declared or inferred key joins {', '.join(tables)}" if tables else ""
    return Answer(sql, hypothesis.score, hypothesis.log_prob, refusal, actions)


def running_first(answers: list[Answer], database: Path | None) -> list[Answer]:
    """Return the answers with the first in front that runs on the database, if that can be known."""
    if database is None:
        return answers
    for index, answer in enumerate(answers):
        if answer.refusal:
            continue
        try:
            run_query(database, answer.sql, seconds=_RUN_SECONDS, max_rows=1, max_cell=1)
        except QueryLimit:  # says nothing against the query
            pass
        except QueryError:
            continue
        except UserError:  # locked or gone by now: no answer can be tried
            return answers
        return [answer, *answers[:index], *answers[index + 1 :]]
    return answers
