"""Norms inside other people's programs: torch.func, forward mode, tracing, averaging, fake tensors, odd input."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, grad, jvp, vmap

from normlab.norms import NORMS
from normlab.norms.base import Norm
from normlab.norms.batch_instance import BatchInstanceNorm
from normlab.norms.precise import batch_norms

WITH_PARAMETERS = [name for name in NORMS.names() if name != "none"]
KEEPS_ESTIMATES = [
    "torch_batch", "batch", "batch_instance", "switchable", "batch_renorm", "ghost_batch", "evonorm_b0",
]  # fmt: skip


def moved(name: str, **options: object) -> Norm:
    """A layer away from its start, in evaluation if it keeps estimates."""
    torch.manual_seed(0)
    layer = NORMS.create(name, 8, **options)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.2, 0.8)
    layer(torch.randn(4, 8, 5, 5) * 2 + 1)
    return layer.train(not layer.running_state)


@pytest.mark.parametrize("name", NORMS.names())
def test_vmap_over_samples_equals_the_samples_one_by_one(name: str) -> None:
    layer, maps = moved(name), torch.randn(3, 8, 5, 5)
    expected = torch.stack([layer(m[None])[0] for m in maps])
    torch.testing.assert_close(vmap(lambda m: layer(m[None])[0])(maps), expected)


@pytest.mark.parametrize("name", NORMS.names())
def test_the_input_has_the_name_that_torch_gives_it(name: str) -> None:
    layer, maps = moved(name), torch.randn(3, 8, 5, 5)
    assert torch.equal(layer.eval()(input=maps), layer(maps))


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_per_sample_gradients_equal_one_backward_pass_per_sample(name: str) -> None:
    layer, maps = moved(name), torch.randn(3, 8, 5, 5)
    parameters = dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor], m: Tensor) -> Tensor:
        return functional_call(layer, parameters, (m[None],)).pow(3).sum()

    per_sample = vmap(grad(loss), (None, 0))(parameters, maps)
    assert len(per_sample) == len(parameters) >= 2
    for row, m in enumerate(maps):
        expected = torch.autograd.grad(layer(m[None]).pow(3).sum(), list(parameters.values()))
        for value, one in zip(per_sample.values(), expected, strict=True):
            torch.testing.assert_close(value[row], one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["layer", "group", "instance"])
def test_opacus_gives_per_sample_gradients(name: str) -> None:
    opacus = pytest.importorskip("opacus.grad_sample", reason="opacus is not installed")
    net = nn.Sequential(nn.Conv2d(3, 8, 3), moved(name), nn.Flatten(), nn.Linear(8 * 9, 2))
    x = torch.randn(4, 3, 5, 5)
    expected = []
    for sample in x:
        net.zero_grad()
        net(sample[None]).square().sum().backward()
        expected.append(net[1].weight.grad.clone())
    net.zero_grad()
    wrapped = opacus.GradSampleModule(net, loss_reduction="sum")
    wrapped(x).square().sum().backward()
    torch.testing.assert_close(net[1].weight.grad_sample, torch.stack(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NORMS.names())
@pytest.mark.parametrize("training", [True, False])
def test_forward_mode_agrees_with_finite_differences(name: str, training: bool) -> None:
    layer = moved(name).double().train(training)
    x, tangent = torch.randn(2, 4, 8, 5, 5, dtype=torch.float64)
    step = 1e-6 * tangent
    expected = (layer(x + step) - layer(x - step)) / 2e-6
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, tangent))).tangent
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    if not (training and layer.running_state):  # torch.func refuses to move estimates, torch's own layer's too
        torch.testing.assert_close(jvp(layer, (x,), (tangent,))[1], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KEEPS_ESTIMATES)
def test_torch_func_can_take_the_running_estimates_away(name: str) -> None:
    net = nn.Sequential(moved(name)).train()
    torch.func.replace_all_batch_norm_modules_(net)
    maps = torch.randn(3, 4, 8, 5, 5)
    expected = torch.stack([net(m) for m in maps])
    torch.testing.assert_close(vmap(net)(maps), expected)


def test_gate_outside_its_bounds_acts_projected_in_a_transform_and_keeps_its_gradient() -> None:
    layer = moved("batch_instance")
    x = torch.randn(3, 8, 5, 5)
    outside = {"gate": torch.full((8,), 1.5)}
    inside = functional_call(layer, {"gate": torch.ones(8)}, (x,))
    gradient, value = torch.func.grad_and_value(lambda p: functional_call(layer, p, (x,)).pow(2).sum())(outside)
    torch.testing.assert_close(value, inside.pow(2).sum())
    assert (gradient["gate"] != 0).all()
    assert (outside["gate"] == 1.5).all()


@pytest.mark.parametrize("name", NORMS.names())
@pytest.mark.parametrize("training", [True, False])
def test_a_traced_layer_takes_other_sizes_than_it_was_traced_with(name: str, training: bool) -> None:
    layer = moved(name).train(training)
    traced = torch.jit.trace(copy.deepcopy(layer), torch.randn(2, 8, 4, 4), check_trace=False)
    x = torch.randn(5, 8, 6, 7)
    torch.testing.assert_close(traced(x), layer(x))


@pytest.mark.parametrize("name", NORMS.names())
@pytest.mark.parametrize("training", [True, False])
def test_fake_tensors_pass_forward_and_backward(name: str, training: bool) -> None:
    with FakeTensorMode():
        layer = NORMS.create(name, 8).train(training)
        x = torch.randn(2, 8, 3, 3, requires_grad=True)
        y = layer(x)
        y.sum().backward()
    assert y.shape == x.grad.shape == (2, 8, 3, 3)


@pytest.mark.parametrize("name", KEEPS_ESTIMATES)
def test_update_bn_measures_the_estimates_anew(name: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), moved(name, momentum=0.3)).eval()
    batches = [torch.randn(4, 3, 8, 8) + 3 for _ in range(3)]
    torch.optim.swa_utils.update_bn(batches, net)
    with torch.no_grad():
        expected = torch.stack([net[0](batch).mean((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(net[1].running_mean, expected)
    assert net[1].momentum == 0.3
    assert not net[1].training


def test_batch_norm_becomes_torchs_synchronised_one_in_the_same_state() -> None:
    layer = moved("batch", momentum=0.3, eps=1e-3)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(copy.deepcopy(layer)))[0]
    assert type(converted) is nn.SyncBatchNorm
    assert (converted.momentum, converted.eps) == (0.3, 1e-3)
    torch.testing.assert_close(dict(converted.state_dict()), dict(layer.state_dict()))


def test_batch_instance_norm_does_not_lose_its_gate_to_a_conversion() -> None:
    with pytest.raises(AttributeError, match=r"would lose its gate.*sync=True"):
        nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(BatchInstanceNorm(8)))
    assert not hasattr(BatchInstanceNorm(8), "num_features")
    with pytest.raises(AttributeError, match="no attribute 'scale'"):
        BatchInstanceNorm(8).scale  # noqa: B018


@pytest.mark.parametrize(
    "name, own_rule",
    [
        ("batch_renorm", "its corrections"),
        ("ghost_batch", "its virtual batches"),
        ("switchable", "its mixtures"),
        ("evonorm_b0", "its activation"),
    ],
)
def test_no_scheme_loses_its_own_rule_to_a_conversion(name: str, own_rule: str) -> None:
    layer = NORMS.create(name, 8)
    with pytest.raises(AttributeError, match=f"would lose {own_rule}; read num_channels"):
        nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(layer))
    assert layer.num_channels == 8


@pytest.mark.parametrize("name", KEEPS_ESTIMATES)
def test_state_dict_from_before_the_count_of_batches_loads(name: str) -> None:
    layer = moved(name)
    old = {key: value for key, value in layer.state_dict().items() if key != "num_batches_tracked"}
    fresh = NORMS.create(name, 8)
    fresh.load_state_dict(old)
    assert fresh.num_batches_tracked == 0
    torch.testing.assert_close(fresh.running_var, layer.running_var)


@pytest.mark.parametrize("name", [name for name in KEEPS_ESTIMATES if name != "evonorm_b0"])
def test_without_running_statistics_evaluation_takes_the_batchs_as_torch_does(name: str) -> None:
    layer = moved(name, track_running_stats=False)
    if name == "batch_instance":
        nn.init.ones_(layer.gate)
    if name == "switchable":
        for logits in (layer.mean_logits, layer.var_logits):
            logits.data = torch.tensor([-1e3, -1e3, 0.0])  # batch norm's share alone
    theirs = nn.BatchNorm2d(8, track_running_stats=False)
    theirs.load_state_dict(
        {k: v for k, v in layer.state_dict().items() if k not in ("gate", "mean_logits", "var_logits")}
    )
    x = torch.randn(4, 8, 3, 3)
    for training in (True, False):
        torch.testing.assert_close(layer.train(training)(x), theirs.train(training)(x))
    layer.reset_parameters()
    assert layer.running_mean is None
    assert batch_norms(layer) == []
    assert "track_running_stats=False" in repr(layer)


@pytest.mark.parametrize("name", WITH_PARAMETERS)
@pytest.mark.parametrize("dtype", [torch.long, torch.uint8, torch.bool, torch.complex64])
@pytest.mark.parametrize("shape", [(2, 8, 3, 3), (2, 8)])
def test_input_that_is_no_floating_point_number_is_refused(name: str, dtype: torch.dtype, shape: tuple) -> None:
    layer = NORMS.create(name, 8)
    for training in (True, False):
        with pytest.raises(TypeError, match=f"floating-point input, got {dtype}"):
            layer.train(training)(torch.ones(shape, dtype=dtype))


@pytest.mark.parametrize("name", WITH_PARAMETERS)
@pytest.mark.parametrize("shape", [(0, 8, 4, 4), (0, 8), (0, 8, 5), (0, 8, 2, 3, 4), (2, 8, 0, 4)])
@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_does_what_it_does_in_torch(name: str, shape: tuple[int, ...], training: bool) -> None:
    layer = moved(name).train(training)
    before = {key: value.clone() for key, value in layer.named_buffers()}
    x = torch.ones(shape, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == shape
    if shape[0] == 0:
        assert list(layer.parameters())
        assert all(p.grad is not None and not p.grad.any() for p in layer.parameters())
    for key, value in layer.named_buffers():
        moved_by = int(training) if key == "num_batches_tracked" else 0
        torch.testing.assert_close(value, before[key] + moved_by)


AXES = [((4, 8), (4, 8, 1, 1)), ((4, 8, 6), (4, 8, 6, 1)), ((4, 8, 2, 3, 4), (4, 8, 6, 4))]


@pytest.mark.parametrize("name", NORMS.names())
@pytest.mark.parametrize("shape, as_maps", AXES)
@pytest.mark.filterwarnings("ignore:.*leaves nothing")
def test_features_sequences_and_volumes_are_maps_of_as_many_positions(
    name: str, shape: tuple[int, ...], as_maps: tuple[int, ...]
) -> None:
    layer = NORMS.create(name, 8)
    x = torch.randn(shape, requires_grad=True)
    maps = x.detach().view(as_maps).requires_grad_()
    y, expected = layer(x), layer(maps)
    torch.testing.assert_close(y, expected.view(shape))
    y.pow(3).sum().backward()
    expected.pow(3).sum().backward()
    torch.testing.assert_close(x.grad, maps.grad.view(shape))
    plain = layer(x) + x
    torch.testing.assert_close(layer.fused(x, residual=x, relu=True), plain if layer.activates else plain.relu())


@pytest.mark.parametrize(
    "name, build",
    [("batch", nn.BatchNorm1d), ("batch", nn.BatchNorm3d), ("torch_batch", nn.BatchNorm3d)],
)
def test_batch_norm_equals_torchs_for_sequences_and_volumes(name: str, build: Callable[[int], nn.Module]) -> None:
    ours, theirs = NORMS.create(name, 8), build(8)
    shape = (4, 8, 6) if build is nn.BatchNorm1d else (4, 8, 2, 3, 4)
    for _ in range(3):
        x = torch.randn(shape) + 1
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_volumes_keep_their_memory_format() -> None:
    x = torch.randn(2, 8, 3, 4, 5).to(memory_format=torch.channels_last_3d)
    assert NORMS.create("group", 8)(x).is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(
    "name, options, shape",
    [
        ("instance", {}, (2, 8, 1, 1)),
        ("instance", {}, (2, 8)),
        ("group", {"groups": 8}, (2, 8, 1, 1)),
        ("layer", {"over": "channel"}, (2, 1, 3, 3)),
    ],
)
def test_a_norm_that_leaves_nothing_of_its_input_says_so(name: str, options: dict, shape: tuple[int, ...]) -> None:
    layer = NORMS.create(name, shape[1], **options)
    with pytest.warns(UserWarning, match="leaves nothing of it but the bias"):
        assert not layer(torch.randn(shape)).any()


@pytest.mark.parametrize(
    "name, options, shape", [("group", {"groups": 4}, (2, 8, 1, 1)), ("batch", {}, (2, 8)), ("layer", {}, (2, 8))]
)
def test_a_norm_that_leaves_something_is_silent(name: str, options: dict, shape: tuple[int, ...], recwarn) -> None:
    assert NORMS.create(name, 8, **options)(torch.randn(shape)).any()
    assert not recwarn
