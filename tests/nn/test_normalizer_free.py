"""Residual branches by the rules of normalizer-free networks: the formula, its variances, and a run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from normlab.cli import main
from normlab.engine.optim import parameter_groups
from normlab.engine.rng import initialise
from normlab.errors import UserError
from normlab.nn.normalizer_free import scale_branches
from normlab.nn.preact_resnet import PreActBlock, PreActResNet
from normlab.nn.resnet import ResNet, shortcut
from normlab.nn.standardized import standardize_weights
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.network import build_network

ALPHA = 0.2
CARD = {"classes": list("0123456789"), "image_size": [32, 32]}
RULES = {"model": "preact_resnet", "norm": "none", "weight_standardized": "scaled", "residual_scale": ALPHA}


def network(n: int = 2, **changes: object) -> PreActResNet:
    built = build_network(ImageConfig.parse({**RULES, "n": n, **changes}, "test"), CARD)
    initialise(built, 0)
    assert isinstance(built, PreActResNet)
    return built


def blocks(net: nn.Module) -> list[PreActBlock]:
    return [module for module in net.modules() if isinstance(module, PreActBlock)]


def test_a_block_computes_the_papers_formula_with_its_expected_deviation() -> None:
    net = network()
    expected_betas = [1, 1 + ALPHA**2, 1 + 2 * ALPHA**2, 0.5 + ALPHA**2, 0.5 + 2 * ALPHA**2, 0.5 + ALPHA**2]
    for block, variance in zip(blocks(net), expected_betas, strict=True):
        nn.init.constant_(block.skip.gain, 0.7)
        x = torch.randn(2, block.conv1.in_channels, 8, 8)
        beta = math.sqrt(variance)
        branch = block.conv2(block.conv1((x / beta).relu()).relu())
        kept = shortcut(x / beta, 2, block.new_channels) if block.new_channels else x
        torch.testing.assert_close(block(x), kept + ALPHA * 0.7 * branch)


def inputs_of_branches(net: nn.Module, images: Tensor) -> list[float]:
    """Return the mean square of what each block's first ReLU reads, at the start of training."""
    seen: list[float] = []
    for block in blocks(net):

        def watched(x: Tensor, *, relu: bool) -> Tensor:
            seen.append(float(x.square().mean()))
            return x.relu()

        block.norm1.fused = watched  # type: ignore[method-assign,assignment]
    with torch.no_grad():
        net(images)
    return seen


def test_every_branch_reads_a_variance_of_about_1_however_deep_the_network_is() -> None:
    torch.manual_seed(0)
    images = torch.randn(8, 3, 32, 32)
    net = network(n=6)
    for block in blocks(net):
        nn.init.ones_(block.skip.gain)  # as if every block had learned to take part
    scaled = inputs_of_branches(net, images)
    assert len(scaled) == 18
    assert all(0.6 < square < 1.6 for square in scaled), scaled
    plain = inputs_of_branches(network(n=6, residual_scale=None), images)
    assert plain[-1] > 4 * scaled[-1]


def test_the_gains_start_at_zero_and_do_not_decay() -> None:
    net = network()
    assert all(block.skip.gain.item() == 0 for block in blocks(net))
    gains = {id(block.skip.gain) for block in blocks(net)}
    groups = parameter_groups(net, ImageConfig(weight_decay=0.1))
    undecayed = {id(each) for group in groups if group["weight_decay"] == 0 for each in group["params"]}
    assert undecayed == gains


def test_other_networks_and_weights_are_refused() -> None:
    other = ResNet(1, 10, "none")
    standardize_weights(other, scaled=True)
    for net in (other, PreActResNet(1, 10, "none")):
        with pytest.raises(UserError, match="wants the network preact_resnet with weight_standardized: scaled"):
            scale_branches(net, ALPHA)  # type: ignore[arg-type]


def test_a_flag_that_would_do_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "image", "--scale", "smoke", "--residual-scale", "0.2", "--model", "preact_resnet"]) == 2
    assert "--residual-scale: does nothing with --norm batch, only with norm none" in capsys.readouterr().err


def test_a_run_without_norms_trains_and_predicts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in RULES.items()]
    run = str(tmp_path / "run")
    small = ["--scale", "smoke", "--limit-train", "64", "--epochs", "1", "--clip-adaptive", "0.01", "--threads", "1"]
    assert main(["train", "image", *small, *flags, "--out", run]) == 0
    assert main(["evaluate", run, "--split", "val", "--json"]) == 0
