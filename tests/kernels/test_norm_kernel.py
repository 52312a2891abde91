"""The norm kernel equals a float64 oracle of plain operations, in value and in every gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from map_checks import TOLERANCE, assert_near, not_taken
from torch import Tensor

from normlab.kernels.norm import NORM, TRACK
from normlab.kernels.norm.scheme import BATCH, GROUPS, MIX

pytestmark = pytest.mark.skipif(bool(NORM.reason_against_cpu()), reason="the norm kernel is not built here")
POOLED = {"batch": (0, 2, 3), "instance": (2, 3), "layer": (1, 2, 3), "group": (2, 3, 4)}
SCHEMES = [*POOLED, "batch_instance", "batch given", "batch_instance given"]


def standardized(x: Tensor, axes: tuple[int, ...], eps: float, held: bool = False) -> Tensor:
    pooled = x.detach() if held else x
    mean = pooled.mean(axes, keepdim=True)
    return (x - mean) / torch.sqrt((pooled - mean).square().mean(axes, keepdim=True) + eps)


def oracle(
    scheme: str, tensors: dict[str, Tensor], groups: int, relu: bool, eps: float = 1e-5, *, held: bool = False
) -> Tensor:
    """What the kernel must compute, in the tensors' own type; `held` takes the statistics for constants."""
    x = tensors["x"]
    row = {name: values[:, None, None] for name, values in tensors.items() if values.dim() == 1}
    name, _, is_given = scheme.partition(" ")
    if name == "group":
        y = standardized(x.unflatten(1, (groups, -1)), POOLED["group"], eps, held).flatten(1, 2)
    else:
        y = standardized(x, POOLED.get(name, POOLED["batch"]), eps, held)
    if is_given:
        y = (x - row["mean"]) / torch.sqrt(row["var"] + eps)
    if name == "batch_instance":
        y = row["gate"] * y + (1 - row["gate"]) * standardized(x, POOLED["instance"], eps, held)
    y = y * row.get("weight", 1) + row.get("bias", 0) + tensors.get("residual", 0)
    return torch.relu(y) if relu else y


def kernel(scheme: str, tensors: dict[str, Tensor], groups: int = 1, relu: bool = False) -> Tensor:
    return with_statistics(scheme, tensors, groups, relu)[0]


def with_statistics(
    scheme: str, tensors: dict[str, Tensor], groups: int = 1, relu: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    x, (name, _, is_given) = tensors["x"], scheme.partition(" ")
    kind = {"batch": BATCH, "batch_instance": MIX}.get(name, GROUPS)
    count = {"instance": x.shape[1], "group": groups}.get(name, 1)
    rows = [tensors.get(key) for key in ("weight", "bias", "gate", "residual")]
    statistics = [tensors["mean"], tensors["var"]] if is_given else [None, None]
    result = NORM.try_call(x, *rows, *statistics, kind, count, bool(is_given), 1e-5, relu)
    assert result is not None, NORM.reason()
    return result


def draw_tensors(
    shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool, absent: set[str], offset: float = 0.0
) -> dict[str, Tensor]:
    C = shape[1]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    maps = {"x": torch.randn(shape) + offset, "residual": torch.randn(shape)}
    rows = {"weight": torch.rand(C) + 0.5, "bias": torch.randn(C), "gate": torch.rand(C)}
    rows |= {"mean": torch.randn(C) + offset, "var": torch.rand(C) + 0.5}
    drawn = {name: value.to(dtype).contiguous(memory_format=layout) for name, value in maps.items()} | rows
    return {name: value for name, value in drawn.items() if name not in absent}


def differentiated(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensors[name].requires_grad_() for name in tensors if name not in ("mean", "var")}


def assert_equals_oracle(scheme: str, tensors: dict[str, Tensor], groups: int, relu: bool) -> None:
    exact = {name: value.detach().double() for name, value in tensors.items()}
    leaves, exact_leaves = differentiated(tensors), differentiated(exact)
    y, exact_y = kernel(scheme, tensors, groups, relu), oracle(scheme, exact, groups, relu)
    dtype = tensors["x"].dtype
    assert y.dtype == dtype
    assert y.stride() == tensors["x"].stride()
    assert_near(y, exact_y, TOLERANCE[dtype], scale=1e-2)

    grad = torch.randn(y.shape).to(dtype)
    grads = torch.autograd.grad(y, list(leaves.values()), grad, allow_unused=True)
    grad = grad.masked_fill(y.detach() == 0, 0) if relu else grad  # the sign of a value near 0 is open
    exact_y = oracle(scheme, exact, groups, relu=False)
    exact_grads = torch.autograd.grad(exact_y, list(exact_leaves.values()), grad.double(), allow_unused=True)
    # Where few values share statistics, what goes through these cancels nearly all of the gradient of x.
    held_y = oracle(scheme, exact, groups, relu=False, held=True)
    (terms,) = torch.autograd.grad(held_y, exact_leaves["x"], grad.double())
    for name, computed, expected in zip(leaves, grads, exact_grads, strict=True):
        if expected is None:
            assert computed is None, name
        else:
            assert computed is not None, name
            assert computed.dtype == leaves[name].dtype
            scale = terms.norm() if name == "x" else 0.1 * grad.double().norm()
            assert_near(computed, expected, TOLERANCE[dtype], scale)


@example("batch", 1, 8, 1, (1, 2), torch.float32, False, set(), True, 0)  # two values share their statistics
@settings(max_examples=150, deadline=None)
@given(
    scheme=st.sampled_from(SCHEMES),
    N=st.integers(1, 5),
    groups=st.sampled_from([1, 2, 3, 8]),
    channels_per_group=st.sampled_from([1, 2, 5, 8]),
    size=st.tuples(st.integers(1, 13), st.integers(1, 35)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    channels_last=st.booleans(),
    absent=st.sets(st.sampled_from(["weight", "bias", "residual"])),
    relu=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_value_and_gradients_equal_the_oracle(
    scheme: str,
    N: int,
    groups: int,
    channels_per_group: int,
    size: tuple[int, int],
    dtype: torch.dtype,
    channels_last: bool,
    absent: set[str],
    relu: bool,
    seed: int,
) -> None:
    # Batch statistics of a single value are refused by the layers; there, terms of size grad / sqrt(eps) cancel.
    assume(not scheme.startswith("batch") or N * size[0] * size[1] > 1)
    torch.manual_seed(seed)
    shape = (N, groups * channels_per_group, *size)
    absent = absent if scheme.startswith("batch_instance") else absent | {"gate"}
    assert_equals_oracle(scheme, draw_tensors(shape, dtype, channels_last, absent), groups, relu)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_map_of_many_blocks_equals_the_oracle(scheme: str, channels_last: bool) -> None:
    tensors = draw_tensors((2, 24, 70, 65), torch.float32, channels_last, set())
    tensors["x"][:, :, :20] += 5  # the blocks' means differ
    assert_equals_oracle(scheme, tensors, groups=3, relu=True)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_mean_ten_thousand_deviations_away_costs_no_accuracy(scheme: str, channels_last: bool) -> None:
    tensors = draw_tensors((4, 16, 17, 16), torch.float32, channels_last, {"residual"}, offset=1e4)
    assert_equals_oracle(scheme, tensors, groups=4, relu=False)


@pytest.mark.parametrize("channels_last", [False, True])
def test_values_unlike_those_that_the_centre_is_taken_from_cost_no_accuracy(channels_last: bool) -> None:
    tensors = draw_tensors((2, 16, 32, 32), torch.float32, channels_last, {"residual"})
    tensors["x"][:, :, :6] = 1e4
    assert_equals_oracle("instance", tensors, groups=1, relu=False)


@pytest.mark.parametrize("index_set", POOLED)
def test_statistics_have_the_documented_shapes_and_values(index_set: Any) -> None:
    x = torch.randn(3, 8, 5, 4)
    _, mean, var = with_statistics(index_set, {"x": x}, groups=2)
    grouped = x.double().unflatten(1, (2, -1)) if index_set == "group" else x.double()
    shape = {"batch": (8,), "instance": (3, 8), "layer": (3, 1), "group": (3, 2)}[index_set]
    torch.testing.assert_close(mean, grouped.mean(POOLED[index_set]).float().view(shape))
    torch.testing.assert_close(var, grouped.var(POOLED[index_set], correction=0).float().view(shape))
    assert not mean.requires_grad


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("channels_last", [False, True])
def test_results_do_not_depend_on_the_number_of_threads(scheme: str, channels_last: bool) -> None:
    tensors = draw_tensors((7, 16, 32, 16), torch.float32, channels_last, set())
    leaves = differentiated(tensors)
    grad, before, results = torch.randn(tensors["x"].shape), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            y = kernel(scheme, tensors, 4, relu=True)
            results.append((y, *torch.autograd.grad(y, list(leaves.values()), grad, allow_unused=True)))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        for value, first in zip(result, results[0], strict=True):
            assert (value is None and first is None) or torch.equal(value, first)


def test_a_nan_passes_the_relu() -> None:
    x = torch.randn(2, 16, 4, 4)
    x[1, 3, 2, 1] = torch.nan
    for dtype in (torch.float32, torch.bfloat16):
        y = kernel("instance", {"x": x.to(dtype)}, relu=True)
        assert y[1, 3].isnan().all()
        assert not y[0].isnan().any()


def test_second_derivatives_equal_the_oracles() -> None:
    tensors = draw_tensors((3, 8, 4, 5), torch.float32, False, set())
    exact = {name: value.double() for name, value in tensors.items()}
    penalties = []
    for values, run in ((tensors, kernel), (exact, oracle)):
        leaves = differentiated(values)
        y = run("batch_instance", values, 1, True)
        (slope,) = torch.autograd.grad(y.square().sum(), leaves["x"], create_graph=True)
        penalties.append(torch.autograd.grad(slope.square().sum(), [leaves["x"], leaves["weight"]]))
    for computed, expected in zip(*penalties, strict=True):
        assert_near(computed, expected, 1e-4)


def test_a_gradient_in_another_layout_is_understood() -> None:
    x = torch.randn(2, 16, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = kernel("layer", {"x": x})
    grad = torch.randn(2, 16, 1, 1).expand(2, 16, 4, 4)
    (computed,) = torch.autograd.grad(y, x, grad)
    exact = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(standardized(exact, (1, 2, 3), 1e-5), exact, grad.double())
    assert_near(computed, expected, 1e-5)


def test_bfloat16_parameters_get_bfloat16_gradients() -> None:
    x, weight = torch.randn(2, 8, 4, 4), torch.ones(8, dtype=torch.bfloat16, requires_grad=True)
    y = kernel("batch", {"x": x, "weight": weight})
    (grad,) = torch.autograd.grad(y.square().sum(), weight)
    assert grad.dtype == torch.bfloat16


@not_taken
def test_what_the_kernel_does_not_take_is_left_to_the_reference(x: Tensor) -> None:
    assert NORM.try_call(x, *[None] * 6, BATCH, 1, False, 1e-5, False) is None
    assert str(x.dtype) in NORM.reason()


def test_a_residual_of_another_type_is_left_to_the_reference() -> None:
    x = torch.zeros(2, 3, 4, 4)
    for residual, is_taken in ((x, True), (x.bfloat16(), False), (x[:1], False)):
        result = NORM.try_call(x, None, None, None, residual, None, None, BATCH, 1, False, 1e-5, False)
        assert (result is not None) is is_taken


def test_autocast_leaves_the_type_of_the_map() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        x = torch.nn.functional.conv2d(torch.randn(2, 3, 8, 8), torch.randn(16, 3, 3, 3))
        y, mean, _ = with_statistics("layer", {"x": x}, relu=True)
    assert y.dtype == x.dtype == torch.bfloat16
    assert mean.dtype == torch.float32


def test_running_estimates_move_towards_the_batch() -> None:
    running = torch.zeros(3), torch.ones(3), torch.tensor(4)
    mean, var = torch.randn(3), torch.rand(3)
    assert TRACK.try_call(*running, mean, var, 0.1, 1.5) is True
    torch.testing.assert_close(running[0], 0.1 * mean)
    torch.testing.assert_close(running[1], 0.9 + 0.15 * var)
    assert running[2] == 5
    assert TRACK.try_call(running[0].double(), *running[1:], mean, var, 0.1, 1.5) is None
