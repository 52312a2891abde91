"""The norm of each position equals a float64 oracle of plain operations, in value and in every gradient."""

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

from normlab.kernels.pixels import PIXELS
from normlab.norms.options import create_norm

pytestmark = pytest.mark.skipif(bool(PIXELS.reason_against_cpu()), reason="the kernel is not built here")
NAMES = ("x", "weight", "bias", "residual")


def oracle(tensors: dict[str, Tensor], *, centred: bool, relu: bool, held: bool = False) -> Tensor:
    """What the kernel must compute; `held` takes the statistics for constants."""
    x = tensors["x"]
    pooled = x.detach() if held else x
    mean = pooled.mean(1, keepdim=True) if centred else 0
    y = (x - mean) / torch.sqrt((pooled - mean).square().mean(1, keepdim=True) + 1e-5)
    row = {name: tensors[name][:, None, None] for name in ("weight", "bias") if name in tensors}
    y = y * row.get("weight", 1) + row.get("bias", 0) + tensors.get("residual", 0)
    return torch.relu(y) if relu else y


def kernel(tensors: dict[str, Tensor], *, centred: bool, relu: bool = False) -> Tensor:
    y = PIXELS.try_call(*(tensors.get(name) for name in NAMES), centred, 1e-5, relu)
    assert y is not None, PIXELS.reason()
    return y


def draw_tensors(
    shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool, absent: set[str], offset: float = 0.0
) -> dict[str, Tensor]:
    drawn = draw_maps(shape, dtype, channels_last, offset=offset)
    return {name: drawn[name] for name in NAMES if name not in absent}


def assert_equals_oracle(tensors: dict[str, Tensor], *, centred: bool, relu: bool) -> None:
    exact = {name: value.detach().double().requires_grad_() for name, value in tensors.items()}
    leaves, dtype = [value.requires_grad_() for value in tensors.values()], tensors["x"].dtype
    y = kernel(tensors, centred=centred, relu=relu)
    assert (y.dtype, y.stride()) == (dtype, tensors["x"].stride())
    assert_near(y, oracle(exact, centred=centred, relu=relu), TOLERANCE[dtype], scale=1e-2)

    grad = torch.randn(y.shape).to(dtype)
    grads = torch.autograd.grad(y, leaves, grad)
    grad = grad.masked_fill(y.detach() == 0, 0) if relu else grad  # the sign of a value near 0 is open
    expected = torch.autograd.grad(oracle(exact, centred=centred, relu=False), list(exact.values()), grad.double())
    # Where few channels share statistics, what goes through these cancels nearly all of the gradient of x.
    held = oracle(exact, centred=centred, relu=False, held=True)
    (terms,) = torch.autograd.grad(held, exact["x"], grad.double())
    for name, leaf, computed, right in zip(tensors, leaves, grads, expected, strict=True):
        assert computed.dtype == leaf.dtype
        scale = terms.norm() if name == "x" else 0.1 * grad.double().norm()
        assert_near(computed, right, TOLERANCE[dtype], scale)


@example(1, 1, (1, 1), torch.float32, False, set(), True, True, 0)  # a lone value is its own mean
@settings(max_examples=150, deadline=None)
@given(
    N=st.integers(1, 4),
    C=st.sampled_from([1, 2, 3, 8, 16, 17, 32, 64, 100]),
    size=st.tuples(st.integers(1, 13), st.integers(1, 35)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    channels_last=st.booleans(),
    absent=st.sets(st.sampled_from(["weight", "bias", "residual"])),
    centred=st.booleans(),
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
    centred: bool,
    relu: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    assert_equals_oracle(draw_tensors((N, C, *size), dtype, channels_last, absent), centred=centred, relu=relu)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_a_map_of_many_runs_equals_the_oracle(centred: bool, channels_last: bool) -> None:
    tensors = draw_tensors((2, 24, 70, 65), torch.float32, channels_last, set())
    tensors["x"][:, :, :20] += 5
    assert_equals_oracle(tensors, centred=centred, relu=True)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_mean_ten_thousand_deviations_away_costs_no_accuracy(channels_last: bool) -> None:
    tensors = draw_tensors((4, 64, 17, 16), torch.float32, channels_last, {"residual"}, offset=1e4)
    assert_equals_oracle(tensors, centred=True, relu=False)


@pytest.mark.parametrize("channels_last", [False, True])
def test_results_do_not_depend_on_the_number_of_threads(channels_last: bool) -> None:
    tensors = draw_tensors((7, 16, 32, 16), torch.float32, channels_last, set())
    leaves = [value.requires_grad_() for value in tensors.values()]
    assert_same_for_any_threads(lambda: kernel(tensors, centred=True, relu=True), leaves)


@pytest.mark.parametrize("centred", [False, True])
def test_second_derivatives_equal_the_oracles(centred: bool) -> None:
    options = {"centred": centred, "relu": True}
    tensors = draw_tensors((3, 8, 4, 5), torch.float32, False, set())
    assert_second_derivatives(tensors, partial(kernel, **options), partial(oracle, **options))


@pytest.mark.parametrize("centred", [False, True])
def test_an_eps_of_zero_has_the_same_derivatives_by_both_ways(centred: bool) -> None:
    x = torch.randn(2, 8, 3, 3, requires_grad=True)
    weight = torch.randn(2, 8, 3, 3)
    y = PIXELS.try_call(x, None, None, None, centred, 0.0, False)
    (first,) = torch.autograd.grad(y, x, weight, retain_graph=True)
    (again,) = torch.autograd.grad(y, x, weight, create_graph=True)  # by the plain formula
    torch.testing.assert_close(first, again.detach())


def test_several_gradients_at_once_equal_those_one_by_one() -> None:
    tensors = draw_tensors((2, 8, 3, 3), torch.float32, True, {"residual"})
    x = tensors["x"].requires_grad_()
    assert_batched_gradients(kernel(tensors, centred=True), x)


def test_a_nan_stays_at_its_position_and_passes_the_relu() -> None:
    for channels_last in (False, True):
        x = torch.randn(2, 16, 4, 4)
        x[1, 3, 2, 1] = torch.nan
        x = x.contiguous(memory_format=torch.channels_last) if channels_last else x
        for dtype in (torch.float32, torch.bfloat16):
            y = kernel({"x": x.to(dtype)}, centred=True, relu=True)
            assert y[1, :, 2, 1].isnan().all()
            assert y.isnan().sum() == 16


def test_a_frozen_map_gets_no_gradient_and_its_rows_do() -> None:
    tensors = draw_tensors((2, 8, 3, 3), torch.float32, False, set())
    weight, residual = tensors["weight"].requires_grad_(), tensors["residual"].requires_grad_()
    y = kernel(tensors, centred=False, relu=True)
    dweight, dresidual = torch.autograd.grad(y.sum(), [weight, residual])
    assert dweight.shape == (8,)
    assert torch.equal(dresidual, (y > 0).float())


@not_taken
def test_what_the_kernel_does_not_take_is_left_to_the_reference(x: Tensor) -> None:
    assert PIXELS.try_call(x, None, None, None, True, 1e-5, False) is None
    assert str(x.dtype) in PIXELS.reason()


@pytest.mark.parametrize("name", ["layer_pixel", "rms_pixel"])
def test_both_schemes_are_computed_by_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = create_norm(name, 16), torch.randn(2, 16, 5, 5)
    nn.init.uniform_(layer.weight)  # type: ignore[arg-type]
    fast = layer.fused(x, residual=x, relu=True)
    monkeypatch.setattr(PIXELS, "try_call", lambda *arguments: None)
    torch.testing.assert_close(fast, layer.fused(x, residual=x, relu=True))
    monkeypatch.setattr(PIXELS, "try_call", lambda *arguments: torch.full_like(arguments[0], 7.0))
    assert (layer(x) == 7).all()
