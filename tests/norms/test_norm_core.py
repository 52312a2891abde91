"""The shared arithmetic against torch's own layers, against its plain reference, and the identities between
schemes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from normlab.norms import NORMS, maps
from normlab.norms.base import Norm
from normlab.norms.core import normalize, normalize_mixed
from normlab.norms.reference import IndexSet, mixed_reference, normalize_reference

SETS: list[IndexSet] = ["batch", "instance", "layer", "group", "channel"]

shapes = st.tuples(st.integers(1, 4), st.sampled_from([1, 2, 4, 6, 12]), st.integers(1, 5), st.integers(2, 5))


def gradients(y: Tensor, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=y.dtype)
    return torch.autograd.grad(y, inputs, grad)


def assert_same_function(a: Norm, b: torch.nn.Module, x: Tensor) -> None:
    """Equal outputs and input gradients; in float64, as a map of two near values is ill-conditioned."""
    a, b, x = a.double(), b.double(), x.double().requires_grad_()
    ya, yb = a(x), b(x)
    torch.testing.assert_close(ya, yb)
    torch.testing.assert_close(gradients(ya, (x,)), gradients(yb, (x,)))


def parameters(C: int) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(torch.rand(C, dtype=torch.float64, requires_grad=True) for _ in range(3))  # type: ignore[return-value]


@pytest.mark.parametrize("index_set", SETS)
def test_second_derivatives_are_true(index_set: IndexSet) -> None:
    x = torch.randn(2, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    weight, bias, _ = parameters(4)
    torch.autograd.gradgradcheck(
        lambda x, w, b: normalize(x, index_set=index_set, groups=2, weight=w, bias=b)[0], (x, weight, bias)
    )


def test_second_derivatives_of_the_mixture_are_true() -> None:
    x = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradgradcheck(
        lambda x, g, w, b: normalize_mixed(x, gate=g, weight=w, bias=b)[0], (x, *parameters(3))
    )


@pytest.mark.parametrize("index_set", SETS[:4])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_blocks_of_samples_do_not_change_the_result(
    monkeypatch: pytest.MonkeyPatch, index_set: IndexSet, memory_format: torch.memory_format
) -> None:
    monkeypatch.setattr(maps, "BLOCK", 2 * 8 * 4 * 4)  # 5 samples in blocks of 2, 2 and 1
    x = torch.randn(5, 8, 4, 4, dtype=torch.float64).to(memory_format=memory_format).requires_grad_()
    weight, bias, _ = parameters(8)
    fast = normalize(x, index_set=index_set, groups=2, weight=weight, bias=bias)
    plain = normalize_reference(x, index_set, 2, weight, bias, 1e-5)
    torch.testing.assert_close(fast, plain)
    inputs = (x, weight, bias)
    torch.testing.assert_close(gradients(fast[0], inputs), gradients(plain[0], inputs))


@settings(max_examples=25, deadline=None)
@given(shape=shapes, affine=st.booleans())
def test_mixture_equals_its_definition(shape: tuple[int, ...], affine: bool) -> None:
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    gate, weight, bias = parameters(shape[1])
    w, b = (weight, bias) if affine else (None, None)
    inputs = (x, gate, weight, bias) if affine else (x, gate)
    fast, plain = normalize_mixed(x, gate=gate, weight=w, bias=b), mixed_reference(x, gate, w, b, 1e-5)
    torch.testing.assert_close(fast, plain)
    torch.testing.assert_close(gradients(fast[0], inputs), gradients(plain[0], inputs))


@pytest.mark.parametrize(
    "index_set, dims, shape",
    [
        ("batch", (0, 3, 4), (6,)),
        ("instance", (3, 4), (3, 6)),
        ("layer", (1, 2, 3, 4), (3,)),
        ("group", (2, 3, 4), (3, 2)),
        ("channel", (1, 2), (3, 4, 5)),
    ],
)
def test_returned_statistics_are_those_of_the_set(
    index_set: IndexSet, dims: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    x = torch.randn(3, 6, 4, 5, requires_grad=True)
    _, mean, var = normalize(x, index_set=index_set, groups=2)
    assert mean.shape == var.shape == shape
    assert not mean.requires_grad
    expected_var, expected_mean = torch.var_mean(x.view(3, 2, 3, 4, 5), dims, correction=0)
    torch.testing.assert_close(mean, expected_mean.detach().view(shape))
    torch.testing.assert_close(var, expected_var.detach().view(shape))


@pytest.mark.parametrize("index_set", SETS)
def test_statistics_are_float32_for_narrow_input(index_set: IndexSet) -> None:
    x = torch.randn(2, 4, 4, 4, dtype=torch.bfloat16)
    y, mean, var = normalize(x, index_set=index_set, groups=2)
    assert (y.dtype, mean.dtype, var.dtype) == (torch.bfloat16, torch.float32, torch.float32)


@settings(max_examples=25, deadline=None)
@given(shape=shapes)
def test_group_norm_of_one_group_is_layer_norm(shape: tuple[int, ...]) -> None:
    assert_same_function(NORMS.create("group", shape[1], groups=1), NORMS.create("layer", shape[1]), torch.randn(shape))


@settings(max_examples=25, deadline=None)
@given(shape=shapes)
def test_group_norm_of_single_channels_is_instance_norm(shape: tuple[int, ...]) -> None:
    group = NORMS.create("group", shape[1], channels_per_group=1)
    assert_same_function(group, NORMS.create("instance", shape[1]), torch.randn(shape))


@settings(max_examples=25, deadline=None)
@given(shape=shapes, gate=st.sampled_from([0.0, 1.0]), training=st.booleans())
def test_batch_instance_norm_at_its_bounds_is_batch_or_instance_norm(
    shape: tuple[int, ...], gate: float, training: bool
) -> None:
    mixed = NORMS.create("batch_instance", shape[1])
    torch.nn.init.constant_(mixed.gate, gate)
    pure = NORMS.create("batch" if gate else "instance", shape[1])
    mixed(torch.randn(shape) + 1)
    if gate:
        pure.load_state_dict({k: v for k, v in mixed.state_dict().items() if k != "gate"})
    assert_same_function(mixed.train(training), pure.train(training), torch.randn(shape))


@settings(max_examples=25, deadline=None)
@given(shape=shapes)
def test_layer_norm_over_channels_is_torchs_on_the_last_axis(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    layer = NORMS.create("layer", shape[1], over="channel").double()
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    pixels = x.permute(0, 2, 3, 1)
    expected = torch.nn.functional.layer_norm(pixels, (shape[1],), layer.weight, layer.bias).permute(0, 3, 1, 2)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("name", ["batch", "instance", "layer", "group", "batch_instance"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_frozen_layer_passes_the_same_gradient_on(name: str, dtype: torch.dtype) -> None:
    """Float64 takes the formula of Python, float32 the kernel where there is one."""
    layer = NORMS.create(name, 16).to(dtype)
    x, grad = torch.randn(4, 16, 3, 3, dtype=dtype), torch.randn(4, 16, 3, 3, dtype=dtype)
    gradients = []
    for learned in (True, False):
        layer.requires_grad_(learned)
        leaf = x.clone().requires_grad_()
        gradients += torch.autograd.grad(layer(leaf), leaf, grad)
    assert float(gradients[0].abs().max()) > 0
    torch.testing.assert_close(gradients[1], gradients[0])


@settings(max_examples=25, deadline=None)
@given(shape=shapes, name=st.sampled_from(["batch", "instance", "layer", "group"]), training=st.booleans())
def test_scheme_equals_torchs_layer_at_any_shape(shape: tuple[int, ...], name: str, training: bool) -> None:
    layer = NORMS.create(name, shape[1]).train(training)
    equivalent = layer.torch_equivalent()
    if shape[0] * shape[2] * shape[3] > 1:
        assert_same_function(layer, equivalent, torch.randn(shape))


@pytest.mark.parametrize("name", NORMS.names())
def test_autocast_keeps_bfloat16_and_compile_agrees(name: str) -> None:
    layer = NORMS.create(name, 16)
    x = torch.randn(2, 16, 4, 4, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    torch.compiler.reset()  # all schemes share `Norm.forward`, of which torch keeps eight compiled versions at most
    traced = torch.compile(layer, backend="aot_eager", fullgraph=True)
    wide = torch.randn(2, 16, 4, 4, requires_grad=True)
    torch.testing.assert_close(traced(wide), layer(wide))
    torch.testing.assert_close(gradients(traced(wide), (wide,)), gradients(layer(wide), (wide,)))


@pytest.mark.parametrize("name", ["batch", "instance", "batch_instance", "layer", "group"])
def test_input_of_another_shape_is_refused(name: str) -> None:
    layer = NORMS.create(name, 16)
    for shape in ((16,), (2, 8), (2, 8, 4, 4)):
        with pytest.raises(ValueError, match=r"\(N, 16, H, W\)"):
            layer(torch.randn(shape))
