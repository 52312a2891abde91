"""Recorded steps: order, fixed inputs, warm-up and ways out, with a fake in place of a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from normlab.engine.graphs import GraphedStep, make_capturable, reason_against
from normlab.engine.optim import set_learning_rate
from normlab.errors import UserError
from normlab.tasks.base import Placement
from normlab.train_config import TrainConfig


class Batch(NamedTuple):
    x: Tensor
    y: Tensor


class FakeRecording:
    """Records by keeping the callable: on a CPU nothing else can stand for a list of kernels."""

    def __init__(self, fails: bool = False) -> None:
        self.events: list[str] = []
        self._fails = fails
        self._work: Callable[[], Any] | None = None

    def warm_up(self, work: Callable[[], Any]) -> Any:
        self.events.append("warm up")
        return work()

    def record(self, work: Callable[[], Any]) -> Any:
        self.events.append("record")
        if self._fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        self._work = work
        return 4  # what the work returns, a number of the shapes, without doing it

    def replay(self) -> None:
        self.events.append("replay")
        assert self._work is not None
        self._work()


class Trainer:
    """A regression with running statistics, whose step works in place."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.optimizer = torch.optim.SGD([{"params": self.model.parameters(), "lr_scale": 1.0}], lr=0.1, momentum=0.9)
        self.total = torch.zeros(())
        self.addresses: set[int] = set()

    def step(self, batch: Batch) -> int:
        self.addresses.add(batch.x.data_ptr())
        loss = (self.model(batch.x)[:, 0] - batch.y).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.total += loss.detach()
        return len(batch.y)


def batches(*sizes: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(1)
    return [Batch(torch.randn(size, 3, generator=generator), torch.randn(size, generator=generator)) for size in sizes]


def graphed(trainer: Trainer, recording: FakeRecording, **options: Any) -> GraphedStep:
    return GraphedStep(trainer.step, lambda: recording, **options)


SIZES = (4, 4, 2, 4, 4, 4, 2, 4, 2)


def test_replayed_steps_train_as_ordinary_ones_running_statistics_included() -> None:
    plain, other, recording = Trainer(), Trainer(), FakeRecording()
    step = graphed(other, recording, warm_up=2)
    counts = []
    for number, batch in enumerate(batches(*SIZES)):
        for trainer in (plain, other):
            set_learning_rate(trainer.optimizer, 0.1 / (number + 1))
        plain.step(batch)
        counts.append(step(batch))
    assert counts == list(SIZES)
    assert torch.equal(plain.total, other.total)
    for one, two in zip(plain.model.state_dict().values(), other.model.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_a_shape_is_warmed_up_then_recorded_once_and_other_shapes_go_the_ordinary_way() -> None:
    recording = FakeRecording()
    trainer = Trainer()
    step = graphed(trainer, recording, warm_up=2)
    for batch in batches(*SIZES):
        step(batch)
    # 4, 4 and the first 2 warm up; the third 4 is recorded; both later 2s are ordinary steps.
    assert recording.events == ["warm up"] * 3 + ["record"] + ["replay"] * 4


def test_replays_read_the_batch_from_fixed_tensors() -> None:
    trainer, recording = Trainer(), FakeRecording()
    step = graphed(trainer, recording, warm_up=1)
    given = batches(4, 4, 4, 4)
    for batch in given:
        step(batch)
    assert len(trainer.addresses - {batch.x.data_ptr() for batch in given}) == 1


def test_a_step_that_cannot_be_recorded_is_made_in_the_ordinary_way_with_one_line() -> None:
    plain, other, said = Trainer(), Trainer(), list[str]()
    recording = FakeRecording(fails=True)
    step = graphed(other, recording, warm_up=1, say=said.append)
    for batch in batches(4, 4, 4):
        plain.step(batch)
        step(batch)
    assert recording.events == ["warm up", "record"]
    assert len(said) == 1
    assert "not permitted when stream is capturing" in said[0]
    assert torch.equal(plain.total, other.total)


def test_the_learning_rate_moves_in_place_once_the_device_reads_it() -> None:
    trainer = Trainer()
    make_capturable(trainer.optimizer, torch.device("cpu"))
    held = trainer.optimizer.param_groups[0]["lr"]
    set_learning_rate(trainer.optimizer, 0.25)
    assert trainer.optimizer.param_groups[0]["lr"] is held
    assert float(held) == 0.25


@pytest.mark.parametrize(
    ("changes", "placement", "fixed_shapes", "reason"),
    [
        ({}, Placement(torch.device("cuda")), True, ""),
        ({}, Placement(torch.device("cuda")), False, "batches differ in shape"),
        ({"cuda_graphs": "on"}, Placement(torch.device("cuda")), False, ""),
        ({"cuda_graphs": "off"}, Placement(torch.device("cuda")), True, "cuda_graphs: off"),
        ({}, Placement(torch.device("cpu")), True, "the device is cpu"),
        ({}, Placement(torch.device("cuda"), processes=2), True, "several processes train together"),
        ({"optimizer": "adagrad"}, Placement(torch.device("cuda")), True, "the optimizer adagrad reads"),
    ],
)
def test_when_steps_are_recorded(changes: Any, placement: Placement, fixed_shapes: bool, reason: str) -> None:
    config = TrainConfig(**changes)
    found = reason_against(config, placement, fixed_shapes=fixed_shapes)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_yaml_s_own_on_and_off_are_understood() -> None:
    assert [TrainConfig(cuda_graphs=word).cuda_graphs for word in (True, False)] == ["on", "off"]  # type: ignore[arg-type]


def test_graphs_that_were_asked_for_but_cannot_be_had_are_a_mistake() -> None:
    config = TrainConfig(cuda_graphs="on")
    with pytest.raises(UserError, match="cuda_graphs: on, but the device is cpu: use auto or off"):
        reason_against(config, Placement(torch.device("cpu")), fixed_shapes=True)
