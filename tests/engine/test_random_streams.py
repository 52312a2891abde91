"""The streams of random numbers in training: dropout draws anew in every epoch, and the same after a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from normlab.engine.running import train_run
from normlab.runs import RunFolder
from normlab.train_config import TrainConfig

BASE = TrainConfig(epochs=4, batch_size=25, lr=0.1, threads=1, precision="float32")


def masks(toy: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> list[torch.Tensor]:
    """Return what dropout let through in the first step of each epoch, as booleans."""
    config = BASE.with_values("test", **changes)
    seen: list[torch.Tensor] = []

    def build(*arguments: Any) -> nn.Module:
        dropout = nn.Dropout(0.5)
        dropout.register_forward_hook(lambda module, inputs, output: seen.append(output != 0) or None)
        return nn.Sequential(nn.Linear(4, 64), nn.Sigmoid(), dropout, nn.Linear(64, 2))  # no sigmoid is 0

    monkeypatch.setattr(toy, "build", build)
    train_run(toy, config, RunFolder.create(folder, config, "toy"), quiet=True)
    in_training = [mask for mask in seen if not mask.all()]
    steps = 2
    assert len(in_training) == steps * config.epochs
    return in_training[::steps]


def test_dropout_draws_anew_in_every_epoch_and_seed(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = (masks(toy, tmp_path / str(seed), monkeypatch, seed=seed) for seed in (0, 1))
    drawn = [*first, *other]
    assert len(drawn) == 8
    assert not [(a, b) for a in range(8) for b in range(a) if torch.equal(drawn[a], drawn[b])]


def test_dropout_draws_do_not_depend_on_what_drew_before(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    first = masks(toy, tmp_path / "a", monkeypatch)
    torch.manual_seed(4)
    torch.rand(10)
    again = masks(toy, tmp_path / "b", monkeypatch)
    assert len(first) == len(again) == 4
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
