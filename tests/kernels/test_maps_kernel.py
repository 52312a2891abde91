"""Halving a map and the mean over positions equal slicing, padding and torch's mean, gradients included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.kernels.maps import HALVE, MEAN

pytestmark = pytest.mark.skipif(bool(MEAN.reason_against_cpu()), reason="the kernels cannot be built here")
SIZES = [(1, 1), (2, 2), (3, 5), (4, 1), (8, 8)]


def halved(x: Tensor) -> Tensor:
    return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, 5))


def random(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels", [3, 16, 35])
@pytest.mark.parametrize(
    ("ours", "plain"), [(lambda x: HALVE.try_call(x, 5), halved), (MEAN.try_call, lambda x: x.mean((2, 3)))]
)
def test_values_and_gradients_are_those_of_torch(
    ours: Callable[[Tensor], Tensor],
    plain: Callable[[Tensor], Tensor],
    channels: int,
    dtype: torch.dtype,
    size: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    x = random((3, channels, *size), dtype)
    computed, expected = ours(x), plain(x)
    assert computed is not None
    torch.testing.assert_close(computed, expected, rtol=2**-8 if dtype == torch.bfloat16 else 1e-6, atol=1e-6)
    grad = torch.randn_like(expected)
    torch.testing.assert_close(torch.autograd.grad(computed, x, grad)[0], torch.autograd.grad(expected, x, grad)[0])
    with torch.no_grad():
        again = ours(x)
    assert torch.equal(again, computed)


@pytest.mark.parametrize("function", [lambda x: HALVE.try_call(x, 2), MEAN.try_call])
def test_there_is_a_second_derivative(function: Callable[[Tensor], Tensor]) -> None:
    x = random((2, 3, 3, 4), torch.float32)
    gradient = torch.autograd.grad(function(x).pow(3).sum(), x, create_graph=True)[0]
    computed = torch.autograd.grad(gradient.square().sum(), x)[0]
    plain = (lambda x: x.mean((2, 3))) if function == MEAN.try_call else (lambda x: x[:, :, ::2, ::2])
    gradient = torch.autograd.grad(plain(x).pow(3).sum(), x, create_graph=True)[0]
    torch.testing.assert_close(computed, torch.autograd.grad(gradient.square().sum(), x)[0])


def test_other_maps_are_left_to_torch() -> None:
    for x in (torch.randn(2, 3, 4, 4), random((2, 3, 4, 4), torch.float64), torch.randn(3, 4)):
        assert MEAN.try_call(x) is None
        assert HALVE.try_call(x, 1) is None
