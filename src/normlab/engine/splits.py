"""Evaluate the splits of a run: during training without tables, at its end with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from normlab.runs import RunFolder
from normlab.runs.atomic import write_json, write_text
from normlab.tasks.base import Evaluation, Placement, Task
from normlab.train_config import TrainConfig


def measure(
    task: Task,
    model: nn.Module,
    data: Any,
    split: str,
    config: TrainConfig,
    placement: Placement,
    *,
    final: bool = False,
) -> Evaluation:
    """Evaluate a split in evaluation mode; metric names get the split's prefix, except those with one of their own."""
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        evaluation = task.evaluate(model, data, split, config, placement, final=final)
    model.train(was_training)
    metrics = {name if "/" in name else f"{split}/{name}": value for name, value in evaluation.metrics.items()}
    return Evaluation(metrics, evaluation.tables, evaluation.predictions, evaluation.examples)


def measure_final(
    task: Task, model: nn.Module, data: Any, config: TrainConfig, placement: Placement, folder: RunFolder
) -> dict[str, Any]:
    """Evaluate every split with the chosen weights, the test split last and if wanted; write the predictions."""
    metrics: dict[str, float] = {}
    tables: dict[str, Any] = {}
    for split in data.sizes:
        if split == "test" and not config.measure_test:
            continue
        evaluation = measure(task, model, data, split, config, placement, final=True)
        metrics |= evaluation.metrics
        tables[split] = evaluation.tables
        if split != "train":
            write_columns(folder, split, evaluation.predictions)
        for name, examples in evaluation.examples.items():
            write_json(folder.predictions / f"{name}.json", examples)
    return {"metrics": metrics, "tables": tables}


def measured_headline(headline: str, metrics: Mapping[str, float]) -> str:
    """Return the metric that a run leads with: the task's own, or the same on validation if there is no test split."""
    on_validation = headline.replace("test/", "val/", 1)
    return on_validation if headline not in metrics and on_validation in metrics else headline


def write_columns(folder: RunFolder, split: str, columns: dict[str, np.ndarray]) -> None:
    """Write per-example columns as predictions/SPLIT.csv: paired tests between two models read it."""
    if columns:
        write_text(folder.predictions / f"{split}.csv", columns_as_csv(columns))


def columns_as_csv(columns: dict[str, np.ndarray]) -> str:
    """Return per-example columns of equal length as CSV with a header."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(_cell(value) for value in row) for row in rows)]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
