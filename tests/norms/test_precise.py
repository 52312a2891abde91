"""Re-estimated statistics are those of the data, and nothing else moves."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from normlab.nn.resnet import ResNet
from normlab.norms.precise import reestimate_statistics, reestimated


@pytest.mark.parametrize("norm", ["batch", "torch_batch", "batch_instance"])
def test_statistics_become_those_of_the_data(norm: str) -> None:
    torch.manual_seed(0)
    model = ResNet(1, 4, norm)
    batches = [torch.randn(16, 3, 16, 16) * 3 + 1 for _ in range(4)]
    with torch.no_grad():
        seen = torch.stack([model.conv(batch).var((0, 2, 3)) for batch in batches]).mean(0)
        mean = torch.stack([model.conv(batch).mean((0, 2, 3)) for batch in batches]).mean(0)
    assert reestimate_statistics(model, batches) == 7
    assert torch.allclose(model.norm.running_mean, mean, atol=1e-5)
    assert torch.allclose(model.norm.running_var, seen, rtol=1e-4)


def test_weights_modes_and_momenta_stay_as_they_were() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, momentum=0.3), nn.Dropout(0.5)).train()
    model[1].eval()
    weights = [parameter.clone() for parameter in model.parameters()]
    reestimate_statistics(model, [torch.randn(8, 3, 4, 4)])
    assert [module.training for module in model] == [True, False, True]
    assert model[1].momentum == 0.3
    assert len(weights) == 4
    assert all(torch.equal(old, new) for old, new in zip(weights, model.parameters(), strict=True))


@pytest.mark.parametrize("norm", ["group", "layer", "instance", "none"])
def test_a_network_without_running_statistics_draws_no_batch(norm: str) -> None:
    def batches():
        raise AssertionError("a batch was drawn")
        yield

    assert reestimate_statistics(ResNet(1, 4, norm), batches()) == 0


def test_within_the_block_statistics_are_precise_and_after_it_the_models_own() -> None:
    torch.manual_seed(0)
    model = ResNet(1, 4, "batch").eval()
    x = torch.randn(16, 3, 16, 16) * 3 + 1
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    before = model(x)
    with reestimated(model, [x]):
        within = model(x)
    assert not torch.allclose(before, within, atol=1e-3)
    assert len(kept) == 3 * 7
    assert all(torch.equal(kept[name], buffer) for name, buffer in model.named_buffers())
    assert torch.equal(model(x), before)
