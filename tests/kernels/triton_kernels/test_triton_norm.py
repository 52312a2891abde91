"""The Triton norm equals the plain formula: every scheme, both layouts, residual sum, ReLU, gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from normlab.kernels.norm import gpu
from normlab.kernels.norm.plain import plain_norm
from normlab.kernels.norm.scheme import BATCH, GROUPS, MIX, Scheme

SCHEMES = {
    "batch": Scheme(BATCH, 1, False, 1e-5, True),
    "batch in evaluation": Scheme(BATCH, 1, True, 1e-5, False),
    "instance": Scheme(GROUPS, 6, False, 1e-5, True),
    "layer": Scheme(GROUPS, 1, False, 1e-5, False),
    "group": Scheme(GROUPS, 2, False, 1e-5, True),
    "batch_instance": Scheme(MIX, 1, False, 1e-5, True),
    "batch_instance in evaluation": Scheme(MIX, 1, True, 1e-5, True),
}


def inputs(scheme: Scheme, layout: torch.memory_format, dtype: torch.dtype) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    x = (normal(3, 6, 5, 7) * 2 + 30).to(dtype).contiguous(memory_format=layout)
    return {
        "x": x,
        "weight": normal(6),
        "bias": normal(6),
        "gate": torch.rand(6, generator=generator) if scheme.kind == MIX else None,
        "residual": normal(3, 6, 5, 7).to(dtype),
        "mean": normal(6) + 30 if scheme.given else None,
        "var": torch.rand(6, generator=generator) + 1 if scheme.given else None,
    }


def by_formula(given: dict[str, Any], scheme: Scheme, grad: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The formula in float64, its gradients from autograd."""
    wide = {name: None if value is None else value.double() for name, value in given.items()}
    learnt = [
        wide[name].requires_grad_() for name in ("x", "weight", "bias", "gate", "residual") if wide[name] is not None
    ]
    x, mean, var = wide["x"], wide["mean"], wide["var"]
    # `plain_norm` computes in float32; with a centred x in float64 the oracle stays exact.
    y = _plain_in_float64(x, wide, mean, var, scheme) + wide["residual"]
    y = y.relu() if scheme.relu else y
    return y.detach(), list(torch.autograd.grad(y, learnt, grad.double()))


def _plain_in_float64(x: Tensor, wide: dict[str, Any], mean: Any, var: Any, scheme: Scheme) -> Tensor:
    def standard(values: Tensor, axes: tuple[int, ...]) -> Tensor:
        spread, middle = torch.var_mean(values, axes, correction=0, keepdim=True)
        return (values - middle) / (spread + scheme.eps).sqrt()

    def planes(row: Tensor) -> Tensor:
        return row[:, None, None]

    if scheme.kind == GROUPS:
        y = standard(x.unflatten(1, (scheme.groups, -1)), (2, 3, 4)).flatten(1, 2)
    else:
        y = (x - planes(mean)) / (planes(var) + scheme.eps).sqrt() if scheme.given else standard(x, (0, 2, 3))
        if scheme.kind == MIX:
            y = planes(wide["gate"]) * y + (1 - planes(wide["gate"])) * standard(x, (2, 3))
    return y * planes(wide["weight"]) + planes(wide["bias"])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("name", SCHEMES)
def test_values_and_gradients_are_those_of_the_formula(name: str, layout: torch.memory_format) -> None:
    from normlab.kernels.norm import triton as norm

    scheme = SCHEMES[name]
    given = inputs(scheme, layout, torch.float32)
    y, mean, var, stats = norm.run_forward(*given.values(), scheme)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(5))
    expected, gradients = by_formula(given, scheme, grad)
    torch.testing.assert_close(y.double(), expected, atol=2e-4, rtol=1e-4)
    assert y.stride() == given["x"].stride()

    computed = norm.run_backward(grad, given["x"], y, given["weight"], given["gate"], stats, scheme, True)
    dx, dweight, dbias, dgate, dresidual = computed
    dresidual = grad if dresidual is None else dresidual
    ours = [d for d in (dx, dweight, dbias, dgate, dresidual) if d is not None]
    for one, other in zip(ours, gradients, strict=True):
        torch.testing.assert_close(one.double(), other, atol=2e-3, rtol=1e-3)
    assert mean.shape == var.shape == ((3, scheme.groups) if scheme.kind == GROUPS else (6,))


@pytest.mark.parametrize("name", ["batch", "group", "batch_instance"])
def test_bfloat16_is_computed_in_float32_and_rounded_at_the_end(name: str) -> None:
    from normlab.kernels.norm import triton as norm

    scheme = SCHEMES[name]._replace(relu=False)
    given = inputs(scheme, torch.channels_last, torch.bfloat16) | {"residual": None}
    y, mean, var, _ = norm.run_forward(*given.values(), scheme)
    wide = given | {"x": given["x"].float()}
    expected = norm.run_forward(*wide.values(), scheme)[0]
    assert y.dtype == torch.bfloat16
    assert mean.dtype == var.dtype == torch.float32
    # Triton's interpreter cuts a bfloat16 off where a GPU rounds: one unit of 8 bits either way.
    torch.testing.assert_close(y.float(), expected, atol=1e-6, rtol=2**-7)


@pytest.mark.parametrize("name", ["batch", "group", "batch_instance", "batch in evaluation"])
def test_the_autograd_function_has_first_and_second_derivatives(name: str) -> None:
    scheme, grad = SCHEMES[name], torch.randn(3, 6, 5, 7, generator=torch.Generator().manual_seed(5))
    given = inputs(scheme, torch.contiguous_format, torch.float32)
    _, gradients = by_formula(given, scheme, grad)
    leaves = [
        given[key].requires_grad_() for key in ("x", "weight", "bias", "gate", "residual") if given[key] is not None
    ]
    y = gpu._Norm.apply(*given.values(), scheme)[0]
    for one, other in zip(torch.autograd.grad(y, leaves, grad, retain_graph=True), gradients, strict=True):
        torch.testing.assert_close(one.double(), other, atol=2e-3, rtol=1e-3)
    (slope,) = torch.autograd.grad(y, given["weight"], grad, create_graph=True)
    assert torch.autograd.grad(slope.square().sum(), given["x"])[0].isfinite().all()


def test_the_oracle_of_this_file_agrees_with_the_plain_formula() -> None:
    scheme = SCHEMES["group"]._replace(relu=False)
    given = inputs(scheme, torch.contiguous_format, torch.float32)
    expected, _ = by_formula(given, scheme, torch.zeros(3, 6, 5, 7))
    row = (given["weight"], given["bias"], None, torch.empty(0), torch.empty(0))
    computed = plain_norm(given["x"], *row, scheme) + given["residual"]
    torch.testing.assert_close(computed.double(), expected, atol=1e-4, rtol=1e-4)
