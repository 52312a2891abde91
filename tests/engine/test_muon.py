"""Muon: nearly orthogonal steps for matrices, AdamW for the rest, and which parameter goes by which."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.engine.muon import Muon, orthogonal
from normlab.engine.optim import build_optimizer, learning_rate, set_learning_rate
from normlab.nn import ResNet
from normlab.nn.classifier import OutputLayer
from normlab.train_config import TrainConfig

MUON = TrainConfig(optimizer="muon", lr=0.1, lr_rest=0.02, momentum=0.8, weight_decay=0.0)


def matrix(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows + columns))


@pytest.mark.parametrize("rows, columns", [(16, 64), (64, 16), (32, 32), (1, 5), (5, 1)])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_update_has_the_singular_vectors_of_the_momentum_and_values_near_one(
    rows: int, columns: int, scale: float
) -> None:
    given = matrix(rows, columns) * scale
    left, values, right = torch.linalg.svd(given, full_matrices=False)
    in_their_basis = left.T @ orthogonal(given) @ right.T
    found = in_their_basis.diagonal()
    clear = values > 0.02 * values.norm()
    assert clear.any()
    assert ((found[clear] > 0.6) & (found[clear] < 1.3)).all()
    torch.testing.assert_close(in_their_basis, torch.diag(found), atol=1e-4, rtol=0)


def test_nothing_to_move_is_no_move() -> None:
    assert torch.equal(orthogonal(torch.zeros(3, 4)), torch.zeros(3, 4))


@pytest.mark.parametrize("rows, columns", [(16, 48), (48, 16)])
def test_it_moves_as_torchs_muon_does(rows: int, columns: int) -> None:
    ours, theirs = (nn.Linear(columns, rows, bias=False) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    start = ours.weight.detach().clone()
    group = {"params": [ours.weight], "orthogonal": True}
    own = Muon([group], lr=0.1, weight_decay=0.1, momentum=0.8)
    other = torch.optim.Muon([theirs.weight], lr=0.1, weight_decay=0.1, momentum=0.8, nesterov=True, ns_steps=4)
    for step in range(5):
        gradient = matrix(rows, columns + step)[:, :columns]
        for layer, optimizer in ((ours, own), (theirs, other)):
            layer.weight.grad = gradient.clone()
            optimizer.step()
    moved, expected = (layer.weight.detach() - start for layer in (ours, theirs))
    assert F.cosine_similarity(moved.flatten(), expected.flatten(), dim=0) > 0.99  # torch iterates in bfloat16
    assert moved.norm() / expected.norm() == pytest.approx(1, abs=0.02)


def test_a_weight_on_the_sphere_is_scaled_to_the_root_of_its_rows_before_each_step() -> None:
    weight = nn.Parameter(matrix(8, 3 * 9).view(8, 3, 3, 3) * 50)
    optimizer = Muon(
        [{"params": [weight], "orthogonal": True, "on_sphere": True}], lr=0.0, weight_decay=0.5, momentum=0
    )
    direction = F.normalize(weight.detach().flatten(), dim=0)
    weight.grad = torch.ones_like(weight)
    optimizer.step()
    assert weight.norm().item() == pytest.approx(math.sqrt(8), rel=1e-5)
    torch.testing.assert_close(F.normalize(weight.detach().flatten(), dim=0), direction)


def by_rule(model: nn.Module) -> dict[bool, set[int]]:
    rules: dict[bool, set[int]] = {True: set(), False: set()}
    for group in build_optimizer(model, MUON).param_groups:
        rules[group["orthogonal"]] |= set(map(id, group["params"]))
    return rules


def test_matrices_of_hidden_layers_go_by_muon_and_all_else_by_adamw() -> None:
    hidden, convolution = nn.Linear(3, 4), nn.Conv1d(3, 4, 3)
    output, table, norm = OutputLayer(4, 2), nn.Embedding(9, 3), nn.LayerNorm(4)
    rules = by_rule(nn.ModuleList([hidden, convolution, output, table, norm]))
    assert rules[True] == {id(hidden.weight), id(convolution.weight)}
    rest = [hidden.bias, convolution.bias, *output.parameters(), *table.parameters(), *norm.parameters()]
    assert rules[False] == set(map(id, rest))


@pytest.mark.parametrize("norm, on_sphere", [("batch", True), ("none", False)])
def test_only_what_a_norm_follows_is_kept_on_the_sphere(norm: str, on_sphere: bool) -> None:
    groups = build_optimizer(ResNet(1, 10, norm), MUON).param_groups
    assert {group["on_sphere"] for group in groups if group["orthogonal"]} == {on_sphere}


def test_both_rates_follow_the_schedule() -> None:
    optimizer = build_optimizer(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), MUON)
    set_learning_rate(optimizer, 0.05)  # half of the peak
    rates = {group["orthogonal"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {True: pytest.approx(0.05), False: pytest.approx(0.01)}


def test_the_rest_moves_as_by_adamw() -> None:
    ours, theirs = nn.LayerNorm(6), nn.LayerNorm(6)
    config = MUON.with_values("test", weight_decay=0.1)
    own = build_optimizer(nn.Sequential(nn.Linear(6, 6), ours), config)
    other = torch.optim.AdamW(theirs.parameters(), lr=0.02, weight_decay=0.1, betas=(0.9, 0.95))
    set_learning_rate(own, 0.1)
    for step in range(4):
        for layer, optimizer in ((ours, own), (theirs, other)):
            for parameter in layer.parameters():
                parameter.grad = matrix(1, 6 + step)[0, :6].clone()
            optimizer.step()
    assert not torch.equal(ours.weight, torch.ones(6))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def test_the_linear_schedule_falls_to_zero_in_a_straight_line() -> None:
    config = TrainConfig(schedule="linear", lr=2.0, epochs=4)
    assert [learning_rate(config, step, 2) for step in range(8)] == pytest.approx([2 - step / 4 for step in range(8)])
