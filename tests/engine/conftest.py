"""A task small enough to train in milliseconds: two Gaussian blobs, a network with dropout and batch norm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from normlab.engine.rng import derive
from normlab.runs.atomic import write_text
from normlab.tasks.base import Evaluation, Placement, StepOutput, Task
from normlab.train_config import TrainConfig


@dataclass
class ToyData:
    x: dict[str, torch.Tensor]
    y: dict[str, torch.Tensor]
    card: dict[str, Any] = field(default_factory=lambda: {"inputs": 4})
    fingerprint: str = "toy"

    @property
    def sizes(self) -> dict[str, int]:
        return {split: len(labels) for split, labels in self.y.items()}


class ToyTask(Task):
    name = "toy"
    headline = "test/accuracy"
    monitor = "val/accuracy"
    config_class = TrainConfig

    def __init__(self) -> None:
        self.poison_step: int | None = None  # the run's batch of this number is not finite
        self.poisoned_once = False  # whether it is so the first time alone
        self.splits_read: list[str] = []

    def prepare(self, config: TrainConfig) -> ToyData:
        generator = torch.Generator().manual_seed(0)
        x, y = {}, {}
        for split, count in (("train", 50), ("val", 20), ("test", 20)):
            y[split] = torch.arange(count) % 2
            x[split] = torch.randn(count, 4, generator=generator) + 1.5 * y[split][:, None]
        return ToyData(x, y)

    def build(self, config: TrainConfig, card: Mapping[str, Any]) -> nn.Module:
        return nn.Sequential(
            nn.Linear(card["inputs"], 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2)
        )

    def steps_per_epoch(self, config: TrainConfig, data: ToyData) -> int:
        return -(-data.sizes["train"] // config.batch_size)

    def train_batches(self, config: TrainConfig, data: ToyData, epoch: int, placement: Placement) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(derive(config.seed, "order", epoch))
        order = torch.randperm(data.sizes["train"], generator=generator)
        for step, chosen in enumerate(order.split(config.batch_size), epoch * self.steps_per_epoch(config, data) + 1):
            x = data.x["train"][chosen]
            if step == self.poison_step:
                x = x * float("nan")
                self.poison_step = None if self.poisoned_once else self.poison_step
            yield x, data.y["train"][chosen]

    def loss(self, model: nn.Module, batch: Any, config: TrainConfig) -> StepOutput:
        logits = model(batch[0])
        correct = (logits.argmax(1) == batch[1]).sum()
        return StepOutput(F.cross_entropy(logits, batch[1]), len(batch[1]), {"accuracy": correct})

    def evaluate(
        self, model: nn.Module, data: ToyData, split: str, config: TrainConfig, placement: Placement, *, final: bool
    ) -> Evaluation:
        assert not model.training
        self.splits_read.append(split)
        logits = model(data.x[split])
        accuracy = float((logits.argmax(1) == data.y[split]).float().mean())
        return Evaluation({"loss": float(F.cross_entropy(logits, data.y[split])), "accuracy": accuracy})

    def predict(
        self, model: nn.Module, source: Any, config: TrainConfig, card: Mapping[str, Any], placement: Placement
    ) -> Iterator[dict[str, Any]]:
        yield from ({"class": int(model(row[None]).argmax())} for row in source)

    def write_predictions(self, records: Iterator[dict[str, Any]], out: Path, form: str, source: Any) -> int:
        lines = [str(record["class"]) for record in records]
        write_text(out, "\n".join(lines))
        return len(lines)


@pytest.fixture
def toy() -> ToyTask:
    return ToyTask()
