"""`check_task` accepts the three tasks, and names what a broken one does wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from normlab.tasks import TASKS, task_settings
from normlab.tasks.base import Evaluation, StepOutput, Task
from normlab.tasks.check import check_task
from normlab.tasks.image.task import ImageTask

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
INPUTS: dict[str, Any] = {
    "image": IMAGES,
    "ner": ["Anna Miller lives in Paris .", "It rains ."],
    "text2sql": [{"question": "How many ships are there?", "db_id": "toy_harbour"}],
}


def smoke(name: str, **changes: Any) -> Any:
    return task_settings(name).make("smoke", {"precision": "float32", "threads": 1, **changes}, "test")


def test_every_task_has_inputs_in_this_test() -> None:
    assert sorted(INPUTS) == sorted(TASKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(INPUTS))
def test_every_task_keeps_the_contract(name: str) -> None:
    check_task(TASKS.get(name), smoke(name, limit_train=70), INPUTS[name])


class OnTheTest(ImageTask):
    monitor = "test/accuracy"


class UndeclaredMetric(ImageTask):
    def evaluate(self, *args: Any, **options: Any) -> Evaluation:
        evaluation = super().evaluate(*args, **options)
        evaluation.metrics["acuracy"] = 0.5
        return evaluation


class UnseededBatches(ImageTask):
    def train_batches(self, *args: Any) -> Iterator[Any]:
        for batch in super().train_batches(*args):
            yield batch._replace(images=batch.images + torch.randn(()))


class SameEveryEpoch(ImageTask):
    def train_batches(self, config: Any, data: Any, epoch: int, placement: Any) -> Iterator[Any]:
        return super().train_batches(config, data, 0, placement)


class DropsTheLastBatch(ImageTask):
    def train_batches(self, *args: Any) -> Iterator[Any]:
        yield from list(super().train_batches(*args))[:-1]


class IgnoresItsShare(ImageTask):
    def train_batches(self, config: Any, data: Any, epoch: int, placement: Any) -> Iterator[Any]:
        return super().train_batches(config, data, epoch, type(placement)(placement.device))


class DetachedLoss(ImageTask):
    def loss(self, *args: Any) -> StepOutput:
        output = super().loss(*args)
        return StepOutput(output.loss.detach(), output.count)


class StateOutsideOfTheStateDict(ImageTask):
    def build(self, *args: Any) -> Any:
        network: Any = super().build(*args)
        network.seen = 0
        return network

    def loss(self, model: Any, batch: Any, config: Any) -> StepOutput:
        model.seen += 1
        output = super().loss(model, batch, config)
        return StepOutput(output.loss * model.seen, output.count)


class EvaluatesInTraining(ImageTask):
    def evaluate(self, model: nn.Module, *args: Any, **options: Any) -> Evaluation:
        evaluation = super().evaluate(model, *args, **options)
        model.train()
        return evaluation


class FinalizesParameters(ImageTask):
    def finalize_statistics(self, model: nn.Module, data: Any, config: Any, placement: Any) -> None:
        with torch.no_grad():
            next(model.parameters()).add_(1)


class LosesRecords(ImageTask):
    def write_predictions(self, records: Iterator[dict[str, Any]], *args: Any) -> int:
        next(records)
        return super().write_predictions(records, *args)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (OnTheTest, "monitor: 'test/accuracy' is not a metric of the validation split"),
        (UndeclaredMetric, r"evaluate: the metrics \['acuracy'\] are not declared"),
        (UnseededBatches, "train_batches: depends on more than seed and epoch"),
        (SameEveryEpoch, "train_batches: two epochs have the same batches"),
        (DropsTheLastBatch, "train_batches: yields 3 batches, steps_per_epoch says 4"),
        (IgnoresItsShare, "train_batches: shares of .* do not make up a batch"),
        (DetachedLoss, "loss: has no graph"),
        (StateOutsideOfTheStateDict, "build: a model restored from its state dict takes another step"),
        (EvaluatesInTraining, "evaluate: leaves the model in training mode"),
        (FinalizesParameters, "finalize_statistics: changes parameters"),
        (LosesRecords, "write_predictions: returns 2 for 3 records"),
    ],
)
def test_a_broken_task_is_told_what_is_wrong(broken: Callable[[], Task], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_task(broken(), smoke("image", limit_train=100, norm="group"), IMAGES)


def test_a_class_that_only_looks_like_a_task_is_refused() -> None:
    with pytest.raises(AssertionError, match="int is not a subclass of"):
        check_task(3, None)  # type: ignore[arg-type]


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    check_task(ImageTask(), smoke("image", limit_train=100), IMAGES)
    assert torch.equal(torch.rand(1), expected)


def test_a_task_lacks_no_method() -> None:
    with pytest.raises(TypeError, match="abstract"):
        type("Incomplete", (Task,), {"name": "x", "headline": "test/accuracy", "monitor": "val/accuracy"})()
