"""What is particular to single schemes: options, groups, the gate, the identity."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.norms.batch_instance import BatchInstanceNorm
from normlab.norms.options import create_norm, norm_options

EVERYTHING = {
    "groups": 8,
    "channels_per_group": None,
    "eps": 1e-3,
    "momentum": 0.2,
    "affine": True,
    "over": "channel",
}


@pytest.mark.parametrize(
    "name, expected",
    [
        ("torch_batch", {"eps", "momentum", "affine"}),
        ("batch", {"eps", "momentum", "affine"}),
        ("instance", {"eps", "affine"}),
        ("batch_instance", {"eps", "momentum", "affine"}),
        ("layer", {"eps", "over", "affine"}),
        ("group", {"groups", "eps", "affine"}),
        ("rms", {"eps", "affine"}),
        ("rms_pixel", {"eps", "affine"}),
        ("layer_pixel", {"eps", "affine"}),
        ("switchable", {"eps", "momentum", "affine"}),
        ("batch_renorm", {"eps", "momentum", "affine"}),
        ("ghost_batch", {"eps", "momentum", "affine"}),
    ],
)
def test_scheme_takes_from_one_set_of_options_what_it_knows(name: str, expected: set[str]) -> None:
    taken = norm_options(name, **EVERYTHING)
    assert set(taken) == expected
    layer = NORMS.create(name, 16, **taken)
    assert layer.eps == 1e-3


def test_none_accepts_every_option_and_returns_the_same_tensor() -> None:
    x = torch.randn(2, 16, 3, 3)
    assert create_norm("none", 16, **EVERYTHING)(x) is x


@pytest.mark.parametrize("name", ["torch_batch", "batch", "instance", "batch_instance", "layer"])
def test_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"'{name}' has no option 'groups': it takes"):
        create_norm(name, 16, groups=4)
    with pytest.raises(UserError, match=f"norm .{name}.: unknown option .groups.: known: num_channels"):
        NORMS.create(name, 16, groups=4)


def test_option_that_is_none_counts_as_not_given() -> None:
    assert create_norm("batch", 16, groups=None, momentum=None).momentum == 0.1


@pytest.mark.parametrize("num_channels, groups", [(1, 1), (2, 2), (6, 3), (7, 1), (16, 4), (32, 4), (64, 4)])
def test_default_number_of_groups_fits_every_width(num_channels: int, groups: int) -> None:
    assert NORMS.create("group", num_channels).groups == groups


@pytest.mark.parametrize(
    "options, message",
    [
        ({"groups": 5}, "groups=5 does not divide 16 channels, use 4 or 8"),
        ({"groups": 32}, "groups=32 does not divide 16 channels, use 16"),
        ({"groups": 0}, "groups=0 does not divide 16 channels, use 1"),
        ({"channels_per_group": 3}, "channels_per_group=3 does not divide 16 channels, use 2 or 4"),
        ({"groups": 4, "channels_per_group": 4}, "not both"),
    ],
)
def test_groups_that_do_not_fit_are_refused_with_the_nearest_that_do(options: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        NORMS.create("group", 16, **options)


def test_group_norm_says_what_it_degenerates_to() -> None:
    assert NORMS.create("group", 16, channels_per_group=16).degenerates_to == "layer"
    assert NORMS.create("group", 16, groups=16).degenerates_to == "instance"
    assert NORMS.create("group", 16, groups=8).degenerates_to is None


def test_layer_norm_refuses_an_unknown_meaning() -> None:
    with pytest.raises(UserError, match="write 'sample'"):
        NORMS.create("layer", 16, over="pixel")


def test_gate_stays_within_bounds_under_a_loop_that_knows_nothing_of_it() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), BatchInstanceNorm(8), nn.ReLU(), nn.Conv2d(8, 1, 4))
    gate = net[1].gate
    used = []
    handle = net[1].register_forward_hook(lambda layer, *_: used.append(layer.gate.detach().clone()))
    optimiser = torch.optim.SGD(net.parameters(), lr=5.0, momentum=0.9)
    left = False
    for _ in range(20):
        optimiser.zero_grad()
        net(torch.randn(8, 3, 6, 6)).square().mean().backward()
        torch.nn.utils.clip_grad_value_(net.parameters(), 1.0)
        optimiser.step()
        left |= bool(((gate < 0) | (gate > 1)).any())
    handle.remove()
    assert left, "the steps must be large enough to push a gate out"
    assert len(used) == 20
    assert all(torch.equal(g, g.clamp(0, 1)) for g in used)
    saved = net.state_dict()["1.gate"]
    assert ((saved >= 0) & (saved <= 1)).all()


@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_gate_at_a_bound_keeps_its_gradient_and_can_leave(bound: float) -> None:
    layer = BatchInstanceNorm(4)
    nn.init.constant_(layer.gate, bound + (0.5 if bound else -0.5))
    x = torch.randn(4, 4, 3, 3) + torch.randn(4, 4, 1, 1)
    (layer(x) * torch.randn(4, 4, 3, 3)).sum().backward()
    assert (layer.gate == bound).all()
    assert layer.gate.grad is not None
    assert (layer.gate.grad != 0).all()


def test_layer_used_twice_in_one_step_can_be_differentiated() -> None:
    layer = BatchInstanceNorm(4)
    nn.init.constant_(layer.gate, 1.5)
    layer(layer(torch.randn(4, 4, 3, 3))).sum().backward()


def test_gates_at_bounds_are_counted() -> None:
    layer = BatchInstanceNorm(6)
    layer.gate.data = torch.tensor([-0.1, 0.0, 0.3, 0.9, 1.0, 1.2])
    assert layer.gates_at_bounds() == (2, 2)


def test_gate_asks_for_ten_times_the_rate_and_no_decay() -> None:
    assert BatchInstanceNorm(4).parameter_options() == {"gate": {"lr_scale": 10.0, "weight_decay": 0.0}}


@pytest.mark.parametrize("name", NORMS.names())
def test_norm_can_be_copied_pickled_moved_and_reset(name: str) -> None:
    layer = NORMS.create(name, 16)
    x = torch.randn(2, 16, 3, 3)
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(copied(x), layer(x))
    assert NORMS.create(name, 16).bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    for parameter in layer.parameters():
        nn.init.constant_(parameter, 0.5)
    layer.reset_parameters()
    torch.testing.assert_close(dict(layer.state_dict()), dict(NORMS.create(name, 16).state_dict()))


@pytest.mark.parametrize("name", NORMS.names())
def test_fused_entry_is_norm_then_sum_then_relu_unless_the_scheme_activates(name: str) -> None:
    layer = NORMS.create(name, 16).eval()
    assert layer.activates == (name in {"filter_response", "evonorm_s0", "evonorm_b0"})
    activation = torch.clone if layer.activates else torch.relu
    x, residual = torch.randn(2, 2, 16, 3, 3)
    torch.testing.assert_close(layer.fused(x), layer(x))
    torch.testing.assert_close(layer.fused(x, relu=True), activation(layer(x)))
    torch.testing.assert_close(layer.fused(x, residual=residual, relu=True), activation(layer(x) + residual))
