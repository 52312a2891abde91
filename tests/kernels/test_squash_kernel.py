"""Norms without statistics equal a float64 oracle of plain operations, in value and in every gradient."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from map_checks import (
    TOLERANCE,
    assert_batched_gradients,
    assert_near,
    assert_same_for_any_threads,
    assert_second_derivatives,
    draw_maps,
    not_taken,
)
from torch import Tensor, nn

from normlab.kernels.squash import SQUASH
from normlab.norms.options import create_norm

pytestmark = pytest.mark.skipif(bool(SQUASH.reason_against_cpu()), reason="the kernel is not built here")
NAMES = ("x", "weight", "bias", "residual", "alpha", "shift")


def oracle(tensors: dict[str, Tensor], *, is_erf: bool, relu: bool) -> Tensor:
    inner = tensors["alpha"] * tensors["x"] + tensors.get("shift", 0)
    row = {name: tensors[name][:, None, None] for name in ("weight", "bias") if name in tensors}
    y = (torch.erf(inner) if is_erf else torch.tanh(inner)) * row.get("weight", 1) + row.get("bias", 0)
    y = y + tensors.get("residual", 0)
    return torch.relu(y) if relu else y


def kernel(tensors: dict[str, Tensor], *, is_erf: bool, relu: bool = False) -> Tensor:
    y = SQUASH.try_call(*(tensors.get(name) for name in NAMES), is_erf, relu)
    assert y is not None, SQUASH.reason()
    return y


def draw_tensors(
    shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool, absent: set[str], spread: float = 1.0
) -> dict[str, Tensor]:
    drawn = draw_maps(shape, dtype, channels_last, spread=spread)
    drawn |= {"alpha": torch.rand(1) + 0.1, "shift": torch.randn(1)}
    return {name: drawn[name] for name in NAMES if name not in absent}


def assert_equals_oracle(tensors: dict[str, Tensor], *, is_erf: bool, relu: bool) -> None:
    exact = {name: value.detach().double().requires_grad_() for name, value in tensors.items()}
    leaves, dtype = [value.requires_grad_() for value in tensors.values()], tensors["x"].dtype
    y = kernel(tensors, is_erf=is_erf, relu=relu)
    assert (y.dtype, y.stride()) == (dtype, tensors["x"].stride())
    assert_near(y, oracle(exact, is_erf=is_erf, relu=relu), TOLERANCE[dtype], scale=1e-2)

    grad = torch.randn(y.shape).to(dtype)
    grads = torch.autograd.grad(y, leaves, grad)
    grad = grad.masked_fill(y.detach() == 0, 0) if relu else grad  # the sign of a value near 0 is open
    expected = torch.autograd.grad(oracle(exact, is_erf=is_erf, relu=False), list(exact.values()), grad.double())
    weight = exact["weight"].detach()[:, None, None] if "weight" in exact else 1.0
    steepest = (exact["alpha"].detach() * weight * grad.double()).norm()
    for name, leaf, computed, right in zip(tensors, leaves, grads, expected, strict=True):
        assert (computed.dtype, computed.shape) == (leaf.dtype, leaf.shape), name
        # Sums over the map cancel; far out the slope by x, 1 - tanh^2, is less than the rounding of 1.
        scale = 0.01 * steepest if name == "x" else 0.1 * grad.double().norm()
        assert_near(computed, right, TOLERANCE[dtype], scale)


SATURATED = {"N": 1, "C": 1, "size": (1, 1), "dtype": torch.float32, "channels_last": False, "absent": set()}


@settings(max_examples=150, deadline=None)
@example(**SATURATED, spread=10.0, is_erf=False, relu=False, seed=0)
@given(
    N=st.integers(1, 4),
    C=st.sampled_from([1, 2, 3, 8, 16, 17, 32, 64, 100]),
    size=st.tuples(st.integers(1, 13), st.integers(1, 35)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    channels_last=st.booleans(),
    absent=st.sets(st.sampled_from(["weight", "bias", "residual", "shift"])),
    spread=st.sampled_from([1e-3, 1.0, 10.0]),
    is_erf=st.booleans(),
    relu=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_value_and_gradients_equal_the_oracle(
    N: int,
    C: int,
    size: tuple[int, int],
    dtype: torch.dtype,
    channels_last: bool,
    absent: set[str],
    spread: float,
    is_erf: bool,
    relu: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    tensors = draw_tensors((N, C, *size), dtype, channels_last, absent, spread)
    assert_equals_oracle(tensors, is_erf=is_erf, relu=relu)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("is_erf", [False, True])
def test_a_map_of_many_runs_equals_the_oracle(is_erf: bool, channels_last: bool) -> None:
    assert_equals_oracle(draw_tensors((2, 24, 70, 65), torch.float32, channels_last, set()), is_erf=is_erf, relu=True)


@pytest.mark.parametrize("is_erf", [False, True])
def test_the_functions_are_right_for_arguments_of_any_size(is_erf: bool) -> None:
    x = torch.cat([torch.linspace(-12, 12, 20_000), torch.logspace(-37, 30, 20_000), -torch.logspace(-37, 30, 20_000)])
    y = kernel({"x": x.view(1, 1, 1, -1), "alpha": torch.ones(1)}, is_erf=is_erf).flatten()
    expected = (torch.erf if is_erf else torch.tanh)(x.double())
    assert ((y.double() - expected).abs() <= 4e-7 * expected.abs()).all()
    ends = torch.tensor([torch.inf, -torch.inf, torch.nan, 0.0]).view(1, 1, 1, -1)
    at_ends = kernel({"x": ends, "alpha": torch.ones(1)}, is_erf=is_erf).flatten()
    torch.testing.assert_close(at_ends, torch.tensor([1.0, -1.0, torch.nan, 0.0]), equal_nan=True)


@pytest.mark.parametrize("channels_last", [False, True])
def test_results_do_not_depend_on_the_number_of_threads(channels_last: bool) -> None:
    tensors = draw_tensors((7, 16, 32, 16), torch.float32, channels_last, set())
    leaves = [value.requires_grad_() for value in tensors.values()]
    assert_same_for_any_threads(lambda: kernel(tensors, is_erf=True, relu=True), leaves)


@pytest.mark.parametrize("is_erf", [False, True])
def test_second_derivatives_equal_the_oracles(is_erf: bool) -> None:
    options = {"is_erf": is_erf, "relu": True}
    tensors = draw_tensors((3, 8, 4, 5), torch.float32, False, set())
    assert_second_derivatives(tensors, partial(kernel, **options), partial(oracle, **options))


def test_several_gradients_at_once_equal_those_one_by_one() -> None:
    tensors = draw_tensors((2, 8, 3, 3), torch.float32, True, {"residual", "shift"})
    x = tensors["x"].requires_grad_()
    assert_batched_gradients(kernel(tensors, is_erf=False), x)


def test_a_nan_passes_the_relu_and_stays_where_it_is() -> None:
    x = torch.randn(2, 16, 4, 4)
    x[1, 3, 2, 1] = torch.nan
    for dtype in (torch.float32, torch.bfloat16):
        y = kernel({"x": x.to(dtype), "alpha": torch.ones(1)}, is_erf=True, relu=True)
        assert y[1, 3, 2, 1].isnan()
        assert y.isnan().sum() == 1


@not_taken
def test_what_the_kernel_does_not_take_is_left_to_the_reference(x: Tensor) -> None:
    assert SQUASH.try_call(x, None, None, None, torch.ones(1), None, False, False) is None
    assert str(x.dtype) in SQUASH.reason()


def test_an_alpha_that_is_no_single_number_is_left_to_the_reference() -> None:
    assert SQUASH.try_call(torch.zeros(1, 2, 2, 2), None, None, None, torch.ones(2), None, False, False) is None


@pytest.mark.parametrize("name", ["dynamic_tanh", "derf"])
def test_both_schemes_are_computed_by_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = create_norm(name, 16), torch.randn(2, 16, 5, 5)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter)
    fast = layer.fused(x, residual=x, relu=True)
    monkeypatch.setattr(SQUASH, "try_call", lambda *arguments: None)
    torch.testing.assert_close(fast, layer.fused(x, residual=x, relu=True))
    monkeypatch.setattr(SQUASH, "try_call", lambda *arguments: torch.full_like(arguments[0], 7.0))
    assert (layer(x) == 7).all()
