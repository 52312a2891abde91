"""A run that diverged names the layer at which its numbers stopped being finite."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import normlab
from normlab.engine import loop
from normlab.engine.divergence import FiniteWatch, first_not_finite
from normlab.nn.resnet import ResNet
from normlab.norms.options import create_norm


class Overflow(nn.Module):
    """Adds what float32 cannot hold."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 3e38 * 10


def place(model: nn.Module, x: torch.Tensor) -> str:
    return first_not_finite(model, lambda: model(x).sum())


def test_the_layer_whose_output_is_not_finite_is_named() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), Overflow()), nn.Linear(3, 1))
    nn.init.ones_(model[0].weight)  # type: ignore[arg-type]  # else ReLU may let nothing through that could overflow
    assert place(model, torch.ones(2, 3) * 5) == "first in the output of 1.1 (Overflow)"
    assert place(model, torch.full((2, 3), torch.nan)) == "first in the input of 0 (Linear)"
    with torch.no_grad():
        model[2].bias[0] = torch.inf
    assert place(model, torch.ones(2, 3)) == "the step before left 2.bias with values that are not finite"


def test_a_norm_inside_a_fused_block_is_named() -> None:
    model = ResNet(1, 10, "layer")
    norm = create_norm("none", 16)
    norm.forward = lambda x: x * float("inf")  # type: ignore[method-assign]
    model.stages[0][0].norm1 = norm  # type: ignore[index]
    assert place(model, torch.randn(2, 3, 8, 8)).startswith("first in the output of stages.0.0.norm1 (")


def test_finite_layers_leave_the_loss() -> None:
    model = nn.Linear(2, 1)
    assert first_not_finite(model, lambda: model(torch.ones(1, 2)).log().sum() * torch.nan) == (
        "in the loss alone, behind finite layers"
    )
    assert not model._forward_hooks


def diverged_at(rate: float, norm: str, out: Path, **settings: object) -> dict[str, object]:
    """Train on digits until a loss is not finite; return what the result says of it."""
    small = {"data": "digits", "n": 1, "epochs": 3, "limit_train": 128, "batch_size": 32, "image_size": 8, "pad": 1}
    run = normlab.train("image", norm=norm, lr=rate, out=out, distributions="off", **{**small, **settings})
    diverged: dict[str, object] = json.loads((run.path / "result.json").read_text())["diverged"]
    assert f"diverged: {diverged['reason']}\n" in (run.path / "log.txt").read_text()
    return diverged


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_a_rate_far_too_high_is_told_with_step_and_layer(norm: str, tmp_path: Path) -> None:
    reason = str(diverged_at(1e30, norm, tmp_path / "run")["reason"])
    assert reason.startswith("the training loss is not finite at step ")
    assert any(word in reason for word in ("first in the ", "the step before left ", "in the loss alone"))


@pytest.mark.parametrize("rate", [10.0, 1e30])
def test_losses_that_stay_on_the_device_end_at_the_same_step_and_layer(
    rate: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = diverged_at(rate, "none", tmp_path / "at-once")
    monkeypatch.setattr(loop, "FiniteWatch", partial(FiniteWatch, immediate=False))
    assert diverged_at(rate, "none", tmp_path / "later") == at_once


def test_a_validation_loss_names_its_layer_too(tmp_path: Path) -> None:
    # One step an epoch: its loss is still that of the first weights, and what it leaves is far too large.
    reason = str(diverged_at(1e30, "none", tmp_path / "run", limit_train=32)["reason"])
    assert reason.startswith("the validation loss is not finite at step 1 (epoch 1): ")
    assert "): first in the " in reason or reason.endswith("behind finite layers")
