"""What is measured on a split: loss and exact match on some rows after every epoch, all scores at the end.

At the end the test rows are decoded with the run's beam. They are scored by exact match and both kinds of execution
accuracy, by level, database, component and view, and compared with the nearest-question baseline.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from normlab.data.batching import epoch_order
from normlab.data.sql.spider import Example
from normlab.data.sql.sqlite import QueryError, run_query
from normlab.errors import UserError
from normlab.tasks.base import Evaluation, Placement
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.evaluation import RowScore, Scores, evaluate_rows
from normlab.tasks.text2sql.evaluation.nearest import NearestQuestion
from normlab.tasks.text2sql.evaluation.scores import summarise
from normlab.tasks.text2sql.inputs.data import Text2SqlData, evaluation_batches
from normlab.tasks.text2sql.model.decoding import Answer, decode
from normlab.tasks.text2sql.model.network import Text2Sql, gold_losses

_WRONG, _RIGHT = 100, 50  # examples kept for the report
_SHOWN_ROWS = 5
_SHOWN_CELL = 80


def evaluate(
    model: Text2Sql, data: Text2SqlData, split: str, config: Text2SqlConfig, placement: Placement, *, final: bool
) -> Evaluation:
    """Measure a split; `final` decodes the test part with the beam and adds execution, tables and predictions."""
    metrics = {"loss": mean_loss(model, data, split, config, placement)}
    if not final or split == "train":
        rows = _sample(len(data.items[split]), config.monitor_rows if split == "val" else config.train_rows, config)
        answers, _ = _decode(model, data, split, rows, config, placement, beam_size=1, run=False)
        scores = _score([data.rows.splits[split][row] for row in rows], answers, data, run=False)
        return Evaluation(metrics | {"exact_match": scores.exact_match})
    examples = data.rows.splits[split]
    rows = np.arange(len(examples))
    answers, seconds = _decode(
        model, data, split, rows, config, placement, beam_size=config.beam_size, run=config.execution_filter
    )
    scores = _score(examples, answers, data, run=True)
    metrics |= _numbers(scores) | {f"speed/{split}_questions_per_second": len(rows) / seconds}
    tables: dict[str, Any] = {"scores": scores.as_dict(), "examples": _examples(examples, answers, scores, data, split)}
    tables["skipped"] = data.card["skipped"].get(split)
    tables["unknown_values"] = data.card["unknown_values"].get(split)
    if split == "test":
        more, views = _views(scores, data)
        metrics |= more
        baseline = _baseline(examples, data)
        metrics["nearest_exact_match"] = baseline.exact_match
        tables |= {"views": views, "nearest": _numbers(baseline), "leakage": data.card["leakage"]}
    return Evaluation(metrics, tables, _columns(examples, answers, scores))


@torch.inference_mode()
def mean_loss(model: Text2Sql, data: Text2SqlData, split: str, config: Text2SqlConfig, placement: Placement) -> float:
    """Return the mean loss, without smoothing, of the questions whose gold the decoder can write."""
    items = data.items[split]
    if split == "train":
        items = [items[row] for row in _sample(len(items), config.train_rows, config)]
    total, count = 0.0, 0
    for rows, batch in evaluation_batches(items, data.questions, config.eval_batch_size, placement, gold=True):
        with placement.autocast():
            scores = model(batch)
        total += float(gold_losses(scores, batch, masked=config.mask_training).sum())
        count += len(rows)
    return total / max(count, 1)


def _sample(count: int, wanted: int, config: Text2SqlConfig) -> np.ndarray:
    """The same rows after every epoch."""
    return np.sort(epoch_order(count, config.seed, "measured")[:wanted])


def _decode(
    model: Text2Sql,
    data: Text2SqlData,
    split: str,
    rows: np.ndarray,
    config: Text2SqlConfig,
    placement: Placement,
    *,
    beam_size: int,
    run: bool,
) -> tuple[list[list[Answer]], float]:
    items = [data.items[split][row] for row in rows]
    started = time.perf_counter()
    answers = dict(decode(model, items, data.questions, config, placement, beam_size=beam_size, run=run))
    return [answers[index] for index in range(len(items))], time.perf_counter() - started


def _score(examples: list[Example], answers: list[list[Answer]], data: Text2SqlData, *, run: bool) -> Scores:
    gold = [(example.query, example.db_id) for example in examples]
    predicted = [best(ranked) for ranked in answers]
    databases = data.rows.databases if run and data.rows.databases.is_dir() else None
    return evaluate_rows(gold, predicted, schemas=data.rows.schemas, databases=databases)


def best(answers: list[Answer]) -> str:
    """Return the first answer; where there is none, a query that runs nowhere."""
    return answers[0].sql if answers else "SELECT"


def _numbers(scores: Scores) -> dict[str, float]:
    metrics = {"exact_match": scores.exact_match, "valid": scores.valid}
    executed = {"execution": scores.execution, "execution_sound": scores.execution_sound}
    return metrics | {name: value for name, value in executed.items() if value is not None}


def _views(scores: Scores, data: Text2SqlData) -> tuple[dict[str, float], dict[str, Any]]:
    """The test rows once more: those whose SQL training does not hold."""
    novel = [row for row, new in zip(scores.rows, data.rows.novel, strict=True) if new]
    if not novel or len(novel) == len(scores.rows):
        return {}, {}
    subset = summarise(novel)
    numbers = {"count": float(subset.count), **_numbers(subset)}
    return {f"novel_{name}": value for name, value in _numbers(subset).items() if name != "valid"}, {"novel": numbers}


def _baseline(examples: list[Example], data: Text2SqlData) -> Scores:
    nearest = NearestQuestion(data.rows.splits["train"])
    answers = [[Answer(sql or "SELECT", 0.0, 0.0)] for sql in nearest.predict(examples)]
    return _score(examples, answers, data, run=True)


def _examples(
    examples: list[Example], answers: list[list[Answer]], scores: Scores, data: Text2SqlData, split: str
) -> list[dict[str, Any]]:
    """Some wrong answers, then some right ones, from all over the split, with what a reader needs to see why."""
    wrong = [index for index, row in enumerate(scores.rows) if not row.exact and not row.skipped]
    right = [index for index, row in enumerate(scores.rows) if row.exact]
    chosen = [*_spread(wrong, _WRONG), *_spread(right, _RIGHT)]
    return [_example(examples[index], answers[index], scores.rows[index], data) for index in chosen]


def _spread(places: list[int], wanted: int) -> list[int]:
    """So many of them, evenly spaced: Spider's own files stand sorted by database."""
    step = max(1.0, len(places) / wanted)
    return [places[int(step * number)] for number in range(min(wanted, len(places)))]


def _example(example: Example, answers: list[Answer], score: RowScore, data: Text2SqlData) -> dict[str, Any]:
    linked = data.questions.link(example.question, example.db_id)
    schema = data.rows.schemas[example.db_id]
    tables = [table.name for index, table in enumerate(schema.tables) if linked.table_links[:, index].any()]
    columns = [
        f"{schema.tables[column.table].name}.{column.name}"
        for index, column in enumerate(schema.columns)
        if column.table >= 0 and (linked.column_links[:, index].any() or linked.cell_links[:, index].any())
    ]
    return {
        "question": example.question,
        "db_id": example.db_id,
        "gold": example.query,
        "prediction": best(answers),
        "exact": score.exact,
        "executed": score.executed_sound,
        "executed_official": score.executed,
        "hardness": score.hardness,
        "error": score.error,
        "linked_tables": tables,
        "linked_columns": columns[:20],
        "values": [value.sql for value in linked.values],
        "alternatives": [{"sql": answer.sql, "score": answer.score} for answer in answers],
        "rows": _rows(best(answers), example.db_id, data),
        "gold_rows": _rows(example.query, example.db_id, data),
    }


def _rows(sql: str, db_id: str, data: Text2SqlData) -> list[list[Any]]:
    """The first rows that a query returns, cut for showing."""
    file = data.questions.file(db_id)
    if file is None:
        return []
    try:
        result = run_query(file, sql, seconds=1.0, max_rows=_SHOWN_ROWS, max_cell=_SHOWN_CELL)
    except (QueryError, UserError):
        return []
    return [
        [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in row] for row in result.rows
    ]


def _columns(examples: list[Example], answers: list[list[Answer]], scores: Scores) -> dict[str, np.ndarray]:
    """One row per question: what paired tests between two models start from."""
    return {
        "row": np.arange(1, len(examples) + 1),
        "db_id": np.array([example.db_id for example in examples]),
        "hardness": np.array([row.hardness or "" for row in scores.rows]),
        "exact": np.array([int(row.exact) for row in scores.rows]),
        "executed": np.array([-1 if row.executed is None else int(row.executed) for row in scores.rows]),
        "executed_sound": np.array(
            [-1 if row.executed_sound is None else int(row.executed_sound) for row in scores.rows]
        ),
        "score": np.array([ranked[0].score if ranked else float("nan") for ranked in answers]),
        "prediction": np.array(['"' + best(ranked).replace('"', '""') + '"' for ranked in answers]),
    }
