"""Optimiser groups and learning-rate schedules."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from normlab.engine.optim import build_optimizer, learning_rate, parameter_groups, set_learning_rate
from normlab.engine.quick_optimizers import QuickAdam, QuickSGD
from normlab.norms import NORMS
from normlab.train_config import TrainConfig


def rates(steps_per_epoch: int = 10, **changes: object) -> list[float]:
    config = TrainConfig(epochs=10, lr=1.0).with_values("test", **changes)
    return [learning_rate(config, step, steps_per_epoch) for step in range(10 * steps_per_epoch)]


def test_nesterov_without_momentum_is_plain_descent() -> None:
    """A grid over momentum may hold 0 while its preset asks for Nesterov's form."""
    start = torch.ones(3)
    moved = []
    for nesterov in (True, False):
        model = nn.Linear(3, 1, bias=False)
        model.weight.data.copy_(start)
        optimizer = build_optimizer(model, TrainConfig(momentum=0.0, nesterov=nesterov, lr=0.5, weight_decay=0.0))
        model(start).sum().backward()
        optimizer.step()
        moved.append(model.weight.detach().clone())
    assert torch.equal(moved[0], moved[1])
    assert torch.equal(moved[0], torch.full((1, 3), 0.5))


def test_the_gate_of_batch_instance_norm_learns_ten_times_faster_and_never_decays() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), NORMS.create("batch_instance", 4))
    optimizer = build_optimizer(model, TrainConfig(weight_decay=0.5))
    set_learning_rate(optimizer, 0.2)
    gate_id = id(model[1].gate)
    holds_gate = [gate_id in map(id, group["params"]) for group in optimizer.param_groups]
    assert sorted(holds_gate) == [False] * (len(holds_gate) - 1) + [True]
    assert len(holds_gate) > 1
    for group, is_gate in zip(optimizer.param_groups, holds_gate, strict=True):
        assert group["lr"] == pytest.approx(2.0 if is_gate else 0.2)
        assert group["weight_decay"] == (0.0 if is_gate else 0.5)


def test_every_trainable_parameter_is_in_exactly_one_group_even_if_shared() -> None:
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.Sequential(shared), nn.Linear(3, 2))
    model[2].bias.requires_grad_(False)
    members = [id(p) for group in parameter_groups(model, TrainConfig()) for p in group["params"]]
    assert sorted(members) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_multistep_drops_tenfold_at_the_milestones() -> None:
    found = rates(schedule="multistep", lr_milestones=(0.5, 0.75))
    assert found[0] == found[49] == 1.0
    assert found[50] == found[74] == pytest.approx(0.1)
    assert found[75] == found[-1] == pytest.approx(0.01)


def test_cosine_equals_torchs_own() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)
    found = rates(schedule="cosine")
    assert len(found) == 100
    for ours in found:
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        oracle.step()


def test_step_drops_after_each_fraction() -> None:
    found = rates(schedule="step", lr_step=0.25, lr_gamma=0.5)
    assert [found[0], found[25], found[50], found[99]] == pytest.approx([1, 0.5, 0.25, 0.125])


def test_one_cycle_rises_to_its_peak_and_ends_near_zero() -> None:
    found = rates(schedule="one_cycle", one_cycle_peak=0.3)
    assert max(found) == pytest.approx(1.0)
    assert found.index(max(found)) == 30
    assert found[0] == pytest.approx(0.04)
    assert found[-1] < 0.001


def test_warm_up_is_linear_and_then_gone() -> None:
    found = rates(schedule="constant", warmup_epochs=2)
    assert found[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert all(rate == 1.0 for rate in found[20:])


@pytest.mark.parametrize("schedule", ["constant", "step", "multistep", "cosine", "one_cycle"])
def test_a_rate_is_positive_and_never_above_the_peak(schedule: str) -> None:
    assert all(0 < rate <= 1.0 + 1e-12 and math.isfinite(rate) for rate in rates(schedule=schedule))


def test_linear_scaling_is_in_proportion_to_the_batch_size() -> None:
    small = TrainConfig(lr=0.1, batch_size=8, lr_scaling="linear", schedule="constant")
    assert learning_rate(small, 0, 10) == pytest.approx(0.1 * 8 / 128)
    assert learning_rate(small.with_values("x", batch_size=128), 0, 10) == pytest.approx(0.1)
    assert learning_rate(small.with_values("x", lr_scaling="fixed"), 0, 10) == pytest.approx(0.1)


def sgd_pair(**options: float | bool) -> tuple[nn.Module, QuickSGD, nn.Module, torch.optim.SGD]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    twin = copy.deepcopy(model)
    settings: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-2, "fused": True, **options}
    return model, QuickSGD(model.parameters(), **settings), twin, torch.optim.SGD(twin.parameters(), **settings)


def train_both(pair: tuple[nn.Module, QuickSGD, nn.Module, torch.optim.SGD], steps: int) -> None:
    for step in range(steps):
        x = torch.randn(6, 5)
        for model, optimizer in (pair[:2], pair[2:]):
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            optimizer.zero_grad(set_to_none=True)
            model(x).square().sum().backward()
            optimizer.step()


@pytest.mark.parametrize("nesterov", [False, True])
def test_quick_sgd_moves_weights_as_torchs_own(nesterov: bool) -> None:
    pair = sgd_pair(nesterov=nesterov)
    start = [parameter.clone() for parameter in pair[0].parameters()]
    train_both(pair, 5)
    assert start
    assert not any(torch.equal(was, now) for was, now in zip(start, pair[0].parameters(), strict=True))
    for own, torchs in zip(pair[0].parameters(), pair[2].parameters(), strict=True):
        assert torch.equal(own, torchs)


def test_quick_sgd_leaves_a_parameter_without_gradient_alone() -> None:
    pair = sgd_pair()
    train_both(pair, 2)
    before = pair[0][1].weight.clone()
    for model, optimizer in (pair[:2], pair[2:]):
        optimizer.zero_grad()
        model[0](torch.ones(1, 5)).sum().backward()
        optimizer.step()
    assert torch.equal(pair[0][1].weight, before)
    for own, torchs in zip(pair[0].parameters(), pair[2].parameters(), strict=True):
        assert torch.equal(own, torchs)


def test_quick_sgd_resumes_with_the_momenta_that_it_is_given() -> None:
    pair = sgd_pair()
    train_both(pair, 3)
    other = sgd_pair()
    train_both(other, 2)
    other[0].load_state_dict(pair[2].state_dict())
    other[2].load_state_dict(pair[2].state_dict())
    other[1].load_state_dict(pair[3].state_dict())
    other[3].load_state_dict(pair[1].state_dict())
    train_both(other, 2)
    assert not torch.equal(next(other[0].parameters()), next(pair[0].parameters()))
    for own, torchs in zip(other[0].parameters(), other[2].parameters(), strict=True):
        assert torch.equal(own, torchs)


@pytest.mark.parametrize("decoupled", [False, True], ids=["adam", "adamw"])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_quick_adam_moves_weights_as_torchs_own(decoupled: bool, amsgrad: bool) -> None:
    torch.manual_seed(0)
    model = nn.ModuleList([nn.Linear(5, 4), nn.Linear(4, 3).double()])
    twin = copy.deepcopy(model)
    settings: dict[str, Any] = {"weight_decay": 0.1, "fused": True, "amsgrad": amsgrad}
    own = QuickAdam(model.parameters(), decoupled_weight_decay=decoupled, **settings)
    torchs = (torch.optim.AdamW if decoupled else torch.optim.Adam)(twin.parameters(), **settings)
    start = [parameter.clone() for parameter in model.parameters()]
    for step in range(4):
        x = torch.randn(6, 5)
        for layers, optimizer in ((model, own), (twin, torchs)):
            optimizer.param_groups[0]["lr"] = 0.1 / (step + 1)
            optimizer.zero_grad()
            hidden = layers[0](x)
            if step != 2:  # a step in which some parameters have no gradient
                hidden = layers[1](hidden.double())
            hidden.square().sum().backward()
            optimizer.step()
    assert not any(torch.equal(was, now) for was, now in zip(start, model.parameters(), strict=True))
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, other)
    for mine, other in zip(own.state_dict()["state"].values(), torchs.state_dict()["state"].values(), strict=True):
        assert all(torch.equal(mine[name], other[name]) for name in other)


_WITHOUT_COMPILER = """
import sys
import torch
from normlab.engine.lazy_adam import LazyAdam
from normlab.engine.muon import Muon
from normlab.engine.quick_optimizers import QuickAdam, QuickSGD
from normlab.nn.crf import LinearChainCRF

rules = [lambda p: QuickSGD(p, lr=0.1, momentum=0.9, fused=True), lambda p: QuickSGD(p, lr=0.1),
         lambda p: QuickAdam(p, fused=True), lambda p: LazyAdam(p, fused=True),
         lambda p: Muon([{"params": [next(p)], "orthogonal": True}, {"params": [*p]}],
                        lr=0.1, weight_decay=0.0, momentum=0.9)]
for rule in rules:
    layer = torch.nn.Linear(3, 2)
    optimizer = rule(layer.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        layer(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
crf, emissions = LinearChainCRF(3), torch.zeros(2, 4, 3)
crf.nll(emissions, torch.zeros(2, 4, dtype=torch.int64)).backward()
with torch.no_grad():
    crf.marginals(emissions), crf.viterbi(emissions)
assert "torch._dynamo" not in sys.modules
"""


def test_neither_a_step_nor_a_crf_imports_torchs_compiler() -> None:
    """That import takes two seconds and more."""
    done = subprocess.run([sys.executable, "-c", _WITHOUT_COMPILER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
