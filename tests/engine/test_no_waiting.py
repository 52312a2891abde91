"""Nothing in a step waits for the device: the step of every scheme runs on "meta", which has no values to read.

A mode beside it names the operations that would make the host wait, so that a mistake is told and not only felt.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from normlab.engine.divergence import FiniteWatch
from normlab.engine.layers import GradientNorms
from normlab.engine.tally import Tally
from normlab.norms import NORMS
from normlab.tasks.base import Placement
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.data import training_batches
from normlab.tasks.image.task import TASK

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


@pytest.mark.parametrize("norm", sorted(NORMS))
def test_a_step_waits_for_nothing(norm: str, data: Any) -> None:
    config = CONFIG.with_values("test", norm=norm)
    model = TASK.build(config, data.card).to(META).train()
    # The fused step of the real runs is one operation, but "meta" has none: this is its plain form.
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, foreach=True)
    watch, tally, norms = FiniteWatch(META), Tally(), GradientNorms(model)
    batches = training_batches(config, data, 0, Placement(META))
    next(batches)  # what an epoch moves to the device goes over before its first step
    with NoWaiting():
        for batch in batches:
            output = TASK.loss(model, batch, config)
            optimizer.zero_grad(set_to_none=True)
            output.loss.backward()
            norms.look()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            watch.look(output.loss.detach())
            tally.add({"loss": output.loss.detach() * output.count, **output.sums})


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
