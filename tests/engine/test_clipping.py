"""Adaptive gradient clipping: the paper's equation unit by unit, and what a run with it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn

from normlab.cli import main
from normlab.engine.clipping import clip_units, gradient_clipping, units_to_clip
from normlab.engine.optim import build_optimizer
from normlab.engine.running import train_run
from normlab.errors import UserError
from normlab.nn.classifier import OutputLayer
from normlab.runs import RunFolder
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.train_config import TrainConfig

Toy = Any
BASE = TrainConfig(epochs=3, batch_size=16, lr=0.1, schedule="cosine", threads=1, precision="float32")


def clipped_by_the_equation(weight: Tensor, gradient: Tensor, factor: float, eps: float) -> Tensor:
    """Brock et al. 2021, eq. 3, unit by unit and number by number, in float64."""

    def clipped(w: Tensor, g: Tensor) -> Tensor:
        w_norm = max(sum(float(x) ** 2 for x in w.flatten()) ** 0.5, eps)
        g_norm = sum(float(x) ** 2 for x in g.flatten()) ** 0.5
        return g * (factor * w_norm / g_norm) if g_norm / w_norm > factor else g

    w, g = weight.detach().double(), gradient.double()
    if w.dim() < 2:
        return clipped(w, g)
    return torch.stack([clipped(*unit) for unit in zip(w, g, strict=True)])


def parameters(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    """One of each form, with gradients from far below the limit to far above it; one without a gradient."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for shape in ((4, 3, 3, 3), (6, 1, 5), (5, 7), (8,), (1,), ()):
        parameter = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float32).to(dtype))
        sizes = 10.0 ** torch.randint(-4, 3, (shape[0], *[1] * (len(shape) - 1)) if shape else (), generator=generator)
        parameter.grad = (torch.randn(shape, generator=generator) * sizes).to(dtype)
        made.append(parameter)
    with torch.no_grad():
        made[0][1] = 0  # a unit that starts at zero
    assert made[2].grad is not None
    made[2].grad[3] = 0  # a unit that no example moves
    return [*made, nn.Parameter(torch.ones(2))]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 8e-3)])
def test_every_unit_is_clipped_as_the_equation_says(dtype: torch.dtype, tolerance: float) -> None:
    before, after = parameters(dtype), parameters(dtype)
    clip_units(after, 0.01)
    changed = 0
    for one, other in zip(before, after, strict=True):
        if one.grad is None:
            assert other.grad is None
            continue
        assert other.grad is not None
        assert other.grad.dtype == dtype
        expected = clipped_by_the_equation(one, one.grad, 0.01, 1e-3)
        torch.testing.assert_close(other.grad.double(), expected, rtol=tolerance, atol=0)
        changed += not torch.equal(one.grad, other.grad)
    assert changed >= 4


def test_a_gradient_below_the_limit_keeps_its_bits() -> None:
    weight = nn.Parameter(torch.ones(3, 4))
    weight.grad = torch.full((3, 4), 0.009)
    clip_units([weight], 0.01)
    assert torch.equal(weight.grad, torch.full((3, 4), 0.009))


def test_the_output_layer_is_left_alone() -> None:
    hidden, output = nn.Linear(4, 4), OutputLayer(4, 2)
    assert units_to_clip(nn.Sequential(output, hidden)) == list(hidden.parameters())
    last = nn.Linear(4, 2)  # a stranger's network marks nothing
    assert units_to_clip(nn.Sequential(hidden, nn.ReLU(), last)) == list(hidden.parameters())


def run(toy: Toy, path: Path, **changes: Any) -> dict[str, Tensor]:
    config = BASE.with_values("test", **changes)
    train_run(toy, config, RunFolder.create(path, config, "toy"), quiet=True)
    return load((path / "checkpoints" / "last.safetensors").read_bytes())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_a_run_with_it_differs_and_one_whose_limit_is_never_met_does_not(
    toy: Toy, optimizer: str, tmp_path: Path
) -> None:
    plain, clipped, free = (
        run(toy, tmp_path / name, optimizer=optimizer, clip_adaptive=factor)
        for name, factor in (("plain", None), ("clipped", 0.001), ("free", 1e9))
    )
    weights = [name for name in plain if name.startswith("model") and name.endswith("weight")]
    assert weights
    assert not any(torch.equal(plain[name], clipped[name]) for name in weights)
    assert all(torch.equal(plain[name], free[name]) for name in plain)


def test_rows_that_are_updated_lazily_are_refused_in_a_line() -> None:
    class Table(nn.Embedding):
        def parameter_options(self) -> dict[str, dict[str, bool]]:
            return {"weight": {"sparse": True}}

    config = BASE.with_values("test", optimizer="adam", weight_decay=0.0, clip_adaptive=0.01)
    model = Table(5, 2, sparse=True)
    with pytest.raises(UserError, match=r"clip_adaptive: .*--embedding-updates dense.*or use --clip-norm"):
        gradient_clipping(model, config, build_optimizer(model, config).param_groups)


def test_it_takes_the_place_of_a_default_clip_norm_and_not_of_a_given_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert Text2SqlConfig().clip_norm == 5
    assert Text2SqlConfig(clip_adaptive=0.01).clip_norm is None
    assert main(["train", "image", "--clip-norm", "1", "--clip-adaptive", "0.01"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "clip_norm: 1 and clip_adaptive: 0.01: give one of them" in lines[0]
