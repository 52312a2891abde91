"""The schemes beside the seven of the first studies, each against a plain computation of its paper's formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.errors import UserError
from normlab.nn.resnet import ResidualBlock
from normlab.norms import NORMS
from normlab.norms.base import Norm
from normlab.norms.swap import swap_norms


@pytest.fixture
def x() -> Tensor:
    """Maps (6, 8, 5, 4) with an offset of their own for each sample, channel and row."""
    torch.manual_seed(0)
    offsets = torch.randn(6, 1, 1, 1) + torch.randn(1, 8, 1, 1) + torch.randn(1, 1, 5, 1)
    return (torch.randn(6, 8, 5, 4) + 2 * offsets).double()


def moved(name: str, **options: object) -> Norm:
    layer = NORMS.create(name, 8, **options).double()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.2, 0.8)
    return layer


def by_channel(values: Tensor) -> Tensor:
    return values[None, :, None, None]


def with_affine(layer: Norm, x: Tensor) -> Tensor:
    return x * by_channel(layer.weight) + by_channel(layer.bias)


def test_rms_is_torchs_rms_norm_of_the_whole_sample(x: Tensor) -> None:
    layer = moved("rms")
    torch.testing.assert_close(layer(x), with_affine(layer, F.rms_norm(x, x.shape[1:], eps=1e-5)))


def test_rms_pixel_is_torchs_rms_norm_of_each_pixels_channels(x: Tensor) -> None:
    layer = moved("rms_pixel")
    expected = F.rms_norm(x.permute(0, 2, 3, 1), (8,), layer.weight, eps=1e-5).permute(0, 3, 1, 2)
    torch.testing.assert_close(layer(x), expected + by_channel(layer.bias))


def test_layer_pixel_is_torchs_layer_norm_of_each_pixels_channels(x: Tensor) -> None:
    layer = moved("layer_pixel")
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (8,), layer.weight, layer.bias, eps=1e-6).permute(0, 3, 1, 2)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("training", [True, False])
def test_switchable_mixes_the_means_and_variances_of_three_sets(x: Tensor, training: bool) -> None:
    layer = moved("switchable")
    with torch.no_grad():
        layer.mean_logits.copy_(torch.tensor([0.1, 1.0, -0.5]))
        layer.var_logits.copy_(torch.tensor([-1.0, 0.3, 0.7]))
    layer(x + 1)
    layer.train(training)
    sets = [torch.var_mean(x, axes, correction=0, keepdim=True) for axes in ((2, 3), (1, 2, 3), (0, 2, 3))]
    if not training:
        sets[2] = by_channel(layer.running_var), by_channel(layer.running_mean)
    w, v = layer.mean_logits.softmax(0), layer.var_logits.softmax(0)
    mean = sum(share * mean for share, (_, mean) in zip(w, sets, strict=True))
    var = sum(share * var for share, (var, _) in zip(v, sets, strict=True))
    torch.testing.assert_close(layer(x), with_affine(layer, (x - mean) / (var + 1e-5).sqrt()))
    assert layer.mixtures()["variance"]["batch"] == pytest.approx(v[2].item())


@pytest.mark.parametrize("index, name", list(enumerate(["instance", "layer", "batch"])))
def test_switchable_with_one_set_is_that_scheme(x: Tensor, index: int, name: str) -> None:
    layer, alone = NORMS.create("switchable", 8).double(), NORMS.create(name, 8).double()
    with torch.no_grad():
        for logits in (layer.mean_logits, layer.var_logits):
            logits.fill_(-1e3)[index] = 0
    for training in (True, False):
        torch.testing.assert_close(layer.train(training)(x), alone.train(training)(x))


def test_batch_renorm_starts_as_batch_norm_and_evaluates_as_it(x: Tensor) -> None:
    layer, batch = NORMS.create("batch_renorm", 8).double(), NORMS.create("batch", 8).double()
    for _ in range(3):
        torch.testing.assert_close(layer(x), batch(x))
    torch.testing.assert_close(dict(layer.state_dict()), dict(batch.state_dict()))
    torch.testing.assert_close(layer.eval()(x), batch.eval()(x))


def test_batch_renorm_without_estimates_yet_is_batch_norm(x: Tensor) -> None:
    """So that measuring the estimates anew, which begins by forgetting them, passes on normalised maps."""
    layer, batch = NORMS.create("batch_renorm", 8, warmup=0, r_steps=0, d_steps=0).double(), nn.BatchNorm2d(8).double()
    torch.testing.assert_close(layer(x), batch(x))
    assert not torch.allclose(layer(x), batch(x))
    layer.reset_running_stats()
    torch.testing.assert_close(layer(x), batch(x))


def test_batch_renorm_limits_grow_from_batch_norm_to_their_end() -> None:
    layer = NORMS.create("batch_renorm", 8, warmup=10, d_steps=20, r_steps=40)
    limits = {}
    for step in (0, 9, 10, 20, 25, 40, 1000):
        layer.num_batches_tracked.fill_(step)
        limits[step] = tuple(float(limit) for limit in layer.limits())
    assert limits[0] == limits[9] == (1, 0)
    assert limits[10][0] > 1
    assert limits[10][1] > 0
    assert limits[20][1] == 5
    assert 1 < limits[25][0] < 3
    assert limits[40] == limits[1000] == (3, 5)


@pytest.mark.parametrize("limits", [{"r_max": 1.2, "d_max": 0.3}, {"r_max": 1e6, "d_max": 1e6}])
def test_batch_renorm_corrects_towards_the_running_statistics_within_its_limits(
    x: Tensor, limits: dict[str, float]
) -> None:
    layer = moved("batch_renorm", warmup=0, r_steps=0, d_steps=0, momentum=0.2, **limits)
    layer(x.flip(0) * 1.5 + 1)
    running_mean, running_std = by_channel(layer.running_mean.clone()), by_channel(layer.running_var + 1e-5).sqrt()
    var, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
    std = (var + 1e-5).sqrt()
    r = (std / running_std).clamp(1 / limits["r_max"], limits["r_max"])
    d = ((mean - running_mean) / running_std).clamp(-limits["d_max"], limits["d_max"])
    y = layer(x)
    torch.testing.assert_close(y, with_affine(layer, (x - mean) / std * r + d))
    unlimited = with_affine(layer, (x - running_mean) / running_std)
    assert torch.allclose(y, unlimited) == (limits["r_max"] > 1e3)


def test_batch_renorm_passes_no_gradient_through_its_corrections(x: Tensor) -> None:
    layer = moved("batch_renorm", warmup=0, r_steps=0, d_steps=0, momentum=0.2)
    layer(x + 1)
    leaf = x.requires_grad_()
    before = (layer.running_mean.clone(), layer.running_var.clone(), *layer.limits())
    r, d = layer._corrections(x.detach().mean((0, 2, 3)), x.detach().var((0, 2, 3), correction=0), *before)
    var, mean = torch.var_mean(leaf, (0, 2, 3), correction=0, keepdim=True)
    expected = with_affine(layer, (leaf - mean) / (var + 1e-5).sqrt() * by_channel(r) + by_channel(d))
    found = layer(leaf)
    inputs = (leaf, layer.weight, layer.bias)
    theirs, ours = (torch.autograd.grad(y.pow(3).sum(), inputs) for y in (expected, found))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"r_max": 0.5}, "r_max=0.5"),
        ({"d_max": -1.0}, "d_max=-1.0"),
        ({"warmup": 9000}, "warmup=9000 must lie between"),
    ],
)
def test_batch_renorm_refuses_limits_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        NORMS.create("batch_renorm", 8, **options)


@pytest.mark.parametrize("size, parts", [(2, (2, 2, 2)), (4, (3, 3)), (5, (3, 3)), (6, (6,)), (32, (6,))])
def test_ghost_batch_is_batch_norm_of_each_virtual_batch_in_turn(x: Tensor, size: int, parts: tuple[int, ...]) -> None:
    layer, batch = NORMS.create("ghost_batch", 8, ghost_batch_size=size).double(), nn.BatchNorm2d(8).double()
    torch.testing.assert_close(layer(x), torch.cat([batch(part) for part in x.split(parts)]))
    torch.testing.assert_close(dict(layer.state_dict()), dict(batch.state_dict()))
    torch.testing.assert_close(layer.eval()(x), batch.eval()(x))
    residual = torch.randn_like(x)
    layer.train()
    torch.testing.assert_close(layer.fused(x, residual=residual, relu=True), torch.relu(layer(x) + residual))


def test_ghost_batch_of_uneven_batches_leaves_no_sample_alone() -> None:
    maps = torch.randn(33, 8, 1, 1)
    assert NORMS.create("ghost_batch", 8)(maps).square().mean().item() == pytest.approx(1, abs=0.01)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        NORMS.create("ghost_batch", 8, ghost_batch_size=1)(maps)
    with pytest.raises(UserError, match="ghost_batch_size=0 is no size"):
        NORMS.create("ghost_batch", 8, ghost_batch_size=0)


def test_pointwise_schemes_are_their_functions_and_stay_within_weight_and_bias(x: Tensor) -> None:
    tanh, erf = moved("dynamic_tanh"), moved("derf")
    z = tanh.alpha * x
    torch.testing.assert_close(tanh(x), with_affine(tanh, 2 / (1 + (-2 * z).exp()) - 1))
    z = erf.alpha * x + erf.shift
    normal = torch.distributions.Normal(torch.zeros((), dtype=x.dtype), 1)
    torch.testing.assert_close(erf(x), with_affine(erf, 2 * normal.cdf(z * 2**0.5) - 1))
    for layer in (tanh, erf):
        assert ((layer(100 * x) - by_channel(layer.bias)).abs() <= by_channel(layer.weight) + 1e-12).all()


@pytest.mark.parametrize("name", ["dynamic_tanh", "derf"])
def test_alpha_starts_and_is_reset_where_it_was_asked_to(name: str) -> None:
    assert NORMS.create(name, 8).alpha.item() == 0.5
    layer = NORMS.create(name, 8, alpha=0.25)
    nn.init.zeros_(layer.alpha)
    layer.reset_parameters()
    assert layer.alpha.item() == 0.25
    assert len(list(NORMS.create(name, 8, affine=False).parameters())) == (1 if name == "dynamic_tanh" else 2)


def test_filter_response_is_a_thresholded_rms_norm_of_each_map(x: Tensor) -> None:
    layer = moved("filter_response")
    expected = with_affine(layer, F.rms_norm(x, x.shape[2:], eps=1e-6))
    torch.testing.assert_close(layer(x), expected.maximum(by_channel(layer.threshold)))
    assert (NORMS.create("filter_response", 8).double()(x) >= 0).all()


def test_filter_response_with_learned_eps_adds_its_absolute_value(x: Tensor) -> None:
    layer = moved("filter_response", learn_eps=True)
    with torch.no_grad():
        layer.learned_eps.neg_()
    by_size = x / (x.square().mean((2, 3), keepdim=True) + 1e-6 - by_channel(layer.learned_eps)).sqrt()
    torch.testing.assert_close(layer(x), with_affine(layer, by_size).maximum(by_channel(layer.threshold)))
    assert NORMS.create("filter_response", 8).learned_eps is None


def test_evonorm_s0_is_swish_over_the_deviation_of_group_norm(x: Tensor) -> None:
    layer = moved("evonorm_s0", groups=2)
    var = x.view(6, 2, 4, 5, 4).var((2, 3, 4), correction=0).repeat_interleave(4, 1)[:, :, None, None]
    slopes = by_channel(layer.slope)
    torch.testing.assert_close(layer(x), with_affine(layer, F.silu(slopes * x) / slopes / (var + 1e-5).sqrt()))


@pytest.mark.parametrize("training", [True, False])
def test_evonorm_b0_divides_by_the_larger_of_batch_and_instance(x: Tensor, training: bool) -> None:
    layer = moved("evonorm_b0")
    layer(x + 1)
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * x.transpose(0, 1).flatten(1).var(1))
    layer.train(training)
    by_batch = x.var((0, 2, 3), correction=0) if training else layer.running_var
    by_map = x.var((2, 3), correction=0, keepdim=True)
    divisor = torch.maximum((by_channel(by_batch) + 1e-5).sqrt(), by_channel(layer.slope) * x + (by_map + 1e-5).sqrt())
    torch.testing.assert_close(layer(x), with_affine(layer, x / divisor))


@pytest.mark.parametrize("name", ["filter_response", "evonorm_s0", "evonorm_b0"])
def test_a_block_puts_no_relu_after_a_scheme_that_contains_its_activation(name: str) -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock(16, 16, name), torch.randn(4, 16, 8, 8)
    nn.init.constant_(block.norm2.bias, -2.0)
    if name == "filter_response":
        nn.init.constant_(block.norm2.threshold, -5.0)
    hidden = block.norm1(block.conv1(x))
    torch.testing.assert_close(block(x), block.norm2(block.conv2(hidden)) + x)
    assert (block(x) < 0).any()


def test_a_swap_says_that_an_activation_comes_or_goes() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    with pytest.warns(UserWarning, match="contain their activation.*1 layer: 1"):
        swap_norms(net, "filter_response")
    with pytest.warns(UserWarning, match="contained their activation, which the new ones lack"):
        swap_norms(net, "group")


@pytest.mark.parametrize(
    "name",
    [
        "rms", "rms_pixel", "layer_pixel", "switchable", "batch_renorm", "ghost_batch", "dynamic_tanh", "derf",
        "filter_response", "evonorm_s0", "evonorm_b0",
    ],
)  # fmt: skip
@pytest.mark.parametrize("affine", [True, False])
def test_gradients_are_true_in_float64(name: str, affine: bool) -> None:
    options = {"ghost_batch_size": 2} if name == "ghost_batch" else {}
    layer = NORMS.create(name, 4, affine=affine, **options).double()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.2, 0.8)
    for training in (True, False):
        layer.train(training)
        maps = torch.randn(4, 4, 2, 3, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(lambda maps, *_: layer(maps) * 1.0, (maps, *layer.parameters()))
