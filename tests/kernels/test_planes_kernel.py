"""Functions of each plane's numbers equal their plain formulas in float64, in value and in every gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from torch import Tensor

from normlab.kernels.planes import AFFINE, CENTRED, FLOOR, PLANES, QUOTIENT, SWISH, Form, plain_planes
from normlab.norms import NORMS

pytestmark = pytest.mark.skipif(bool(PLANES.reason_against_cpu()), reason="the kernel is not built here")
FORMS = {"affine": AFFINE, "centred": CENTRED, "floor": FLOOR, "swish": SWISH, "quotient": QUOTIENT}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def tables(mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """Scale and shift of every kind of table: of a plane, of a sample, of a channel, of all; then three more."""
    w, b = weight.to(mean.dtype), bias.to(mean.dtype)
    scale = torch.rsqrt(var + mean.square().mean(1, keepdim=True) + 0.1) * w
    return scale, b + 0.3 * mean.mean(), w.mean(), b.abs().mean().add(0.5), torch.sqrt(var.mean(0) + 1) + w.abs()


def made_for(form: Form) -> Callable[..., tuple[Tensor, ...]]:
    """Three tables that suit a form, or two, and the variance of each sample beside them."""

    def made(mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        scale, shift, third, slope, lift = tables(mean, var, weight, bias)
        # A quotient's line must not cross 0 where it is the larger one: flat is above 0.
        others = {FLOOR: (shift + 0.1,), SWISH: (slope,), QUOTIENT: (third + 1, slope, lift)}.get(form, ())
        return scale, shift, *others, var.mean(1)

    return made


def oracle(tensors: dict[str, Tensor], form: Form, *, relu: bool = False) -> Tensor:
    y = plain_planes(tensors["x"], form, made_for(form), (tensors["weight"], tensors["bias"]))[0]
    y = y + tensors.get("residual", 0)
    return torch.relu(y) if relu else y


def kernel(tensors: dict[str, Tensor], form: Form, *, relu: bool = False) -> Tensor:
    parameters = (tensors["weight"], tensors["bias"])
    result = PLANES.try_call(tensors["x"], form, made_for(form), parameters, tensors.get("residual"), relu)
    assert result is not None, PLANES.reason()
    y, extra = result
    assert not extra.requires_grad
    return y


def is_at_a_kink(tensors: dict[str, Tensor], form: Form) -> Tensor:
    """Where rounding decides which side of a maximum a value is on, so that its derivative is open."""
    x = tensors["x"].detach()
    mean, var = x.mean((2, 3)), x.var((2, 3), correction=0)
    made = made_for(form)(mean, var, tensors["weight"].detach(), tensors["bias"].detach())
    scale, shift, *others = (table.expand_as(mean)[..., None, None] for table in made[: form.tables])
    if form is FLOOR:
        return (x * scale + shift - others[0]).abs() < 1e-4
    return (others[1] * x + others[2] - others[0]).abs() < 1e-4 if form is QUOTIENT else x != x


def assert_equals_oracle(tensors: dict[str, Tensor], form: Form, *, relu: bool) -> None:
    exact = {name: value.detach().double().requires_grad_() for name, value in tensors.items()}
    leaves, dtype = [value.requires_grad_() for value in tensors.values()], tensors["x"].dtype
    y = kernel(tensors, form, relu=relu)
    assert (y.dtype, y.stride()) == (dtype, tensors["x"].stride())
    assert_near(y, oracle(exact, form, relu=relu), TOLERANCE[dtype], scale=1e-2)

    grad = torch.randn(y.shape).to(dtype).masked_fill(is_at_a_kink(exact, form), 0)
    grads = torch.autograd.grad(y, leaves, grad)
    grad = grad.masked_fill(y.detach() == 0, 0) if relu else grad  # the sign of a value near 0 is open
    expected = torch.autograd.grad(oracle(exact, form), list(exact.values()), grad.double())
    for name, leaf, computed, right in zip(tensors, leaves, grads, expected, strict=True):
        assert computed.dtype == leaf.dtype
        scale = (1.0 if name == "x" else 0.3) * grad.double().norm()
        assert_near(computed, right, 3 * TOLERANCE[dtype], scale)


@example(1, 1, (1, 1), torch.float32, False, False, "centred", True, 0)
@settings(max_examples=150, deadline=None)
@given(
    N=st.integers(1, 4),
    C=st.sampled_from([1, 2, 3, 8, 16, 17, 32, 64, 100]),
    size=st.tuples(st.integers(1, 13), st.integers(1, 35)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    channels_last=st.booleans(),
    with_residual=st.booleans(),
    name=st.sampled_from(list(FORMS)),
    relu=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_value_and_gradients_equal_the_oracle(
    N: int,
    C: int,
    size: tuple[int, int],
    dtype: torch.dtype,
    channels_last: bool,
    with_residual: bool,
    name: str,
    relu: bool,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    form = FORMS[name]
    tensors = draw_maps((N, C, *size), dtype, channels_last)
    if not with_residual:
        del tensors["residual"]
    assert_equals_oracle(tensors, form, relu=relu and form.number == 0)


@every_form
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_map_of_many_blocks_equals_the_oracle(form: Form, channels_last: bool) -> None:
    tensors = draw_maps((2, 24, 70, 65), torch.float32, channels_last)
    tensors["x"][:, :, :20] += 5
    assert_equals_oracle(tensors, form, relu=False)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_mean_ten_thousand_deviations_away_costs_no_accuracy(channels_last: bool) -> None:
    tensors = draw_maps((4, 64, 17, 16), torch.float32, channels_last, offset=1e4)

    def standardised(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
        return torch.rsqrt(var + 1e-5), torch.zeros_like(mean)

    x, grad = tensors["x"].requires_grad_(), tensors["residual"]
    exact = x.detach().double().requires_grad_()
    results = [PLANES.try_call(x, CENTRED, standardised, ()), plain_planes(exact, CENTRED, standardised, ())]
    for computed, expected in zip(
        *((y, *torch.autograd.grad(y, leaf, grad.to(y.dtype))) for (y,), leaf in zip(results, (x, exact), strict=True)),
        strict=True,
    ):
        assert_near(computed, expected, 1e-5)


@every_form
@pytest.mark.parametrize("channels_last", [False, True])
def test_results_do_not_depend_on_the_number_of_threads(form: Form, channels_last: bool) -> None:
    tensors = draw_maps((7, 16, 32, 16), torch.float32, channels_last)
    leaves = [value.requires_grad_() for value in tensors.values()]
    assert_same_for_any_threads(lambda: kernel(tensors, form), leaves)


@every_form
def test_second_derivatives_equal_the_oracles(form: Form) -> None:
    tensors = draw_maps((3, 8, 4, 5), torch.float32, False)
    relu = form.number == 0
    assert_second_derivatives(
        tensors, lambda values: kernel(values, form, relu=relu), lambda values: oracle(values, form, relu=relu)
    )


@every_form
def test_several_gradients_at_once_equal_those_one_by_one(form: Form) -> None:
    tensors = draw_maps((2, 8, 3, 3), torch.float32, True)
    x = tensors["x"].requires_grad_()
    assert_batched_gradients(kernel(tensors, form), x)


@every_form
def test_a_nan_spoils_its_plane_and_no_other_sample(form: Form) -> None:
    def fixed(mean: Tensor, var: Tensor) -> tuple[Tensor, ...]:
        return (torch.ones_like(mean), *(mean.new_full((1,), 0.5) for _ in range(form.tables - 1)))

    x = torch.randn(2, 16, 4, 4)
    x[1, 3, 2, 1] = torch.nan
    for layout in (torch.contiguous_format, torch.channels_last):
        (y,) = PLANES.try_call(x.contiguous(memory_format=layout), form, fixed, ()) or ()
        assert y[1, 3, 2, 1].isnan()
        assert y[0].isfinite().all()


def test_the_backward_pass_runs_twice_where_the_graph_is_kept() -> None:
    tensors = draw_maps((2, 8, 3, 3), torch.float32, True)
    leaves = [value.requires_grad_() for value in tensors.values()]
    y = kernel(tensors, CENTRED, relu=True)
    first, second = (torch.autograd.grad(y.sum(), leaves, retain_graph=True) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_hook_of_a_parameter_runs_once() -> None:
    tensors, calls = draw_maps((2, 8, 3, 3), torch.float32, True), []
    tensors["weight"].requires_grad_().register_hook(calls.append)
    kernel(tensors, CENTRED).sum().backward()
    assert len(calls) == 1


def test_tables_may_come_in_another_type() -> None:
    x, weight = torch.randn(2, 8, 3, 3, requires_grad=True), torch.rand(8, requires_grad=True)

    def unconverted(mean: Tensor, var: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        return weight, mean.float()

    (y,) = PLANES.try_call(x, AFFINE, unconverted, (weight,)) or ()
    expected = x * weight[:, None, None] + x.mean((2, 3), keepdim=True)
    torch.testing.assert_close(y, expected)
    grad = torch.randn_like(y)
    found, right = (torch.autograd.grad(value, (x, weight), grad) for value in (y, expected))
    torch.testing.assert_close(found, right)


@not_taken
def test_other_maps_are_left_to_the_reference(x: Tensor) -> None:
    assert PLANES.try_call(x, CENTRED, lambda mean, var: (var, mean), ()) is None


def test_without_gradients_no_graph_is_kept() -> None:
    tensors = draw_maps((2, 8, 3, 3), torch.float32, True)
    tensors["weight"].requires_grad_()
    with torch.no_grad():
        assert kernel(tensors, CENTRED).grad_fn is None


@pytest.mark.parametrize(
    "name", ["rms", "filter_response", "switchable", "batch_renorm", "ghost_batch", "evonorm_s0", "evonorm_b0"]
)
@pytest.mark.parametrize("training", [False, True])
def test_schemes_compute_by_the_kernel_what_they_compute_in_float64(name: str, training: bool) -> None:
    options: dict[str, dict[str, int]] = {
        "batch_renorm": {"warmup": 0, "r_steps": 1, "d_steps": 1},
        "ghost_batch": {"ghost_batch_size": 3},
    }
    layer, exact = (NORMS.create(name, 16, **options.get(name, {})) for _ in range(2))
    x, residual = torch.randn(2, 7, 16, 6, 5).unbind()
    results: list[Sequence[Tensor]] = []
    for norm, dtype in ((layer, torch.float32), (exact.double(), torch.float64)):
        leaf = x.to(dtype).requires_grad_()
        norm(leaf.detach() + 1)  # moves estimates
        y = norm.train(training).fused(leaf, residual=residual.to(dtype), relu=True)
        results.append((y, *torch.autograd.grad(y.square().sum(), [leaf, *norm.parameters()]), *norm.buffers()))
    for computed, expected in zip(*results, strict=True):
        assert_near(computed, expected.double(), 1e-5, scale=1e-2)
