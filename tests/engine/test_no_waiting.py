"""Nothing in a step waits for the device: the step of every scheme runs on "meta", which has no values to read.

A mode beside it names the operations that would make the host wait, so that a mistake is told and not only felt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from normlab.engine import loop
from normlab.engine.distributed import ProcessGroup
from normlab.engine.loop import Training
from normlab.engine.optim import parameter_groups
from normlab.engine.progress import Progress
from normlab.norms import NORMS
from normlab.runs import RunFolder
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.task import TASK
from normlab.train_config import TrainConfig

META = torch.device("meta")
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "is_nonzero", "item")


class NoWaiting(TorchDispatchMode):
    """Raises where an operation reads a value, or copies one between host and device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        leaves = torch.utils._pytree.tree_leaves((args, kwargs))
        # A boolean index is counted first, inside of the operation.
        masked = name.startswith("index") and any(_is_whole(leaf) and leaf.dtype == torch.bool for leaf in leaves[1:])
        assert name not in WAITING, f"{name} makes the host wait"
        assert not masked, f"{name} by a boolean mask makes the host wait"
        given = {leaf.device.type for leaf in leaves if _is_whole(leaf)}
        out = func(*args, **(kwargs or {}))
        made = {tensor.device.type for tensor in torch.utils._pytree.tree_leaves(out) if _is_whole(tensor)}
        assert len(given | made) < 2, f"{name} copies between host and device"
        return out


def _is_whole(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dim() > 0


@pytest.fixture(scope="module")
def data() -> Any:
    return TASK.prepare(CONFIG)


CONFIG = ImageConfig(data="digits", n=1, batch_size=8, limit_train=20, image_size=8)


def training_on_meta(norm: str, folder: Path, monkeypatch: pytest.MonkeyPatch, clipping: str = "clip_norm") -> Training:
    """The training itself, with all that a step may do switched on, on a device without values."""

    def plain_sgd(model: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
        # The fused step of the real runs is one operation, but "meta" has none: this is its plain form.
        return torch.optim.SGD(parameter_groups(model, config), lr=config.lr, momentum=config.momentum, foreach=True)

    monkeypatch.setattr(loop, "build_optimizer", plain_sgd)
    asked = {"distributions": "all", clipping: 1.0, "average": "ema", "device": "meta", "precision": "float32"}
    config = CONFIG.with_values("test", norm=norm, **asked)
    run = RunFolder.create(folder, config, "image")
    return Training(TASK, config, run, Progress(run, quiet=True), ProcessGroup())


@pytest.mark.parametrize(
    ("norm", "clipping"), [*((norm, "clip_norm") for norm in sorted(NORMS)), ("none", "clip_adaptive")]
)
def test_a_step_waits_for_nothing(norm: str, clipping: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = training_on_meta(norm, tmp_path / "run", monkeypatch, clipping)
    assert training.step == training._plain_step
    steps = training.train_steps()
    next(steps)  # what an epoch moves to the device goes over before its first step
    with NoWaiting():
        for _ in range(TASK.steps_per_epoch(training.config, training.data) - 1):
            next(steps)
    assert training.counters.step == 3


@pytest.mark.parametrize("part", ["loss", "tally", "average", "optimizer"])
def test_a_wait_anywhere_in_the_step_is_seen(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above is worth: a reading put into any part of the real step is found."""
    training = training_on_meta("batch", tmp_path / "run", monkeypatch)
    owner, name = {
        "loss": (TASK, "loss"),
        "tally": (training.tally, "add"),
        "average": (training.average, "update"),
        "optimizer": (training.optimizer, "step"),
    }[part]
    real = getattr(owner, name)

    def waiting(*arguments: Any) -> Any:
        torch.nonzero(torch.empty(3, device=META))
        return real(*arguments)

    steps = training.train_steps()
    next(steps)
    monkeypatch.setattr(owner, name, waiting)
    with pytest.raises(AssertionError, match="nonzero makes the host wait"), NoWaiting():
        next(steps)


def test_the_detector_sees_a_reading_and_a_boolean_mask() -> None:
    x = torch.arange(3.0)
    with pytest.raises(AssertionError, match="makes the host wait"), NoWaiting():
        float(x[0])
    with pytest.raises(AssertionError, match="boolean mask makes the host wait"), NoWaiting():
        x[x > 1]
    with pytest.raises(AssertionError, match="copies between host and device"), NoWaiting():
        x.to(META)


def test_runs_on_the_same_images_share_them_on_the_device(data: Any) -> None:
    other = TASK.prepare(CONFIG.with_values("test", seed=1))
    one, two = data.on(META), other.on(META)
    assert one.images["train"] is two.images["train"]
    assert one.rows["train"][1] is not two.rows["train"][1]
    assert data.on(META) is one
    assert data.on(torch.device("cpu")) is data
