"""Our batch norm against `nn.BatchNorm2d`, step by step, in a small convolutional net."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from normlab.norms import NORMS
from normlab.norms.batch import BatchNorm

STEPS = 50


def small_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2), nn.BatchNorm2d(12), nn.ReLU(),
        nn.Flatten(), nn.Linear(12 * 9, 5),
    )  # fmt: skip


def with_our_norms(net: nn.Sequential) -> nn.Sequential:
    ours = copy.deepcopy(net)
    for i, layer in enumerate(net):
        if isinstance(layer, nn.BatchNorm2d):
            ours[i] = BatchNorm(layer.num_features)
            ours[i].load_state_dict(layer.state_dict())
    return ours


def step(net: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Train one step; return all that must agree."""
    x = x.clone().requires_grad_()
    logits = net(x)
    optimiser.zero_grad()
    nn.functional.cross_entropy(logits, target).backward()
    seen = {"logits": logits.detach(), "input gradient": x.grad}
    seen |= {f"gradient of {name}": p.grad.clone() for name, p in net.named_parameters()}
    optimiser.step()
    return seen


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-9), (torch.float32, 2e-3)])
def test_batch_norm_follows_torchs_through_fifty_training_steps(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    theirs = small_net().to(dtype)
    ours = with_our_norms(theirs).to(dtype)
    optimisers = [torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9) for net in (ours, theirs)]
    for _ in range(STEPS):
        x, target = torch.randn(16, 3, 8, 8, dtype=dtype), torch.randint(5, (16,))
        a, b = (step(n, o, x, target) for n, o in zip((ours, theirs), optimisers, strict=True))
        a |= ours.state_dict()
        b |= theirs.state_dict()
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    x = torch.randn(16, 3, 8, 8, dtype=dtype)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("momentum", [0.1, 0.4, None])
@pytest.mark.parametrize("affine", [True, False])
def test_state_dicts_interchange_with_torch_both_ways(momentum: float | None, affine: bool) -> None:
    options = {"momentum": momentum, "affine": affine}
    sources = (BatchNorm(6, **options), nn.BatchNorm2d(6, **options))
    targets = (nn.BatchNorm2d(6, **options), BatchNorm(6, **options))
    for source, target in zip(sources, targets, strict=True):
        for _ in range(3):
            source(torch.randn(4, 6, 3, 3) * 3 + 2)
        assert list(source.state_dict()) == list(target.state_dict())
        target.load_state_dict(source.state_dict())
        x = torch.randn(4, 6, 3, 3)
        torch.testing.assert_close(target(x), source(x))  # moves the running estimates, too
        torch.testing.assert_close(dict(target.state_dict()), dict(source.state_dict()))
        torch.testing.assert_close(target.eval()(x), source.eval()(x))


@pytest.mark.parametrize("momentum", [None, "cumulative"])
def test_cumulative_momentum_keeps_the_average_of_all_batches(momentum: str | None) -> None:
    layer = NORMS.create("batch", 4, momentum=momentum)
    batches = torch.randn(6, 8, 4, 3, 3)
    for batch in batches:
        layer(batch)
    torch.testing.assert_close(layer.running_mean, batches.mean((0, 1, 3, 4)))
    torch.testing.assert_close(layer.running_var, batches.var((1, 3, 4)).mean(0))


def test_single_value_per_channel_is_refused_in_torchs_words() -> None:
    x = torch.randn(1, 4, 1, 1)
    messages = []
    for layer in (BatchNorm(4), nn.BatchNorm2d(4)):
        with pytest.raises(ValueError, match="more than 1 value per channel") as error:
            layer(x)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_reset_parameters_forgets_the_batches() -> None:
    layer = BatchNorm(4)
    layer(torch.randn(4, 4, 3, 3))
    layer.reset_parameters()
    torch.testing.assert_close(dict(layer.state_dict()), dict(BatchNorm(4).state_dict()))
