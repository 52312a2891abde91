"""What every kernel on maps (N, C, H, W) must satisfy, whatever it computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}

# Maps that are left to the reference.
not_taken = pytest.mark.parametrize(
    "x",
    [
        torch.zeros(2, 3, 4, 4, dtype=torch.float64),
        torch.zeros(2, 3, 4),
        torch.zeros(0, 3, 4, 4),
        torch.zeros(2, 3, 4, 8)[..., ::2],
        torch.zeros(2, 3, 4, 4, device="meta"),
    ],
    ids=["float64", "3 axes", "empty", "strided", "meta"],
)


def draw_maps(
    shape: tuple[int, ...], dtype: torch.dtype, channels_last: bool, *, offset: float = 0.0, spread: float = 1.0
) -> dict[str, Tensor]:
    """Return x and a residual of a type and layout, weight and bias of one number a channel in float32."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    maps = {"x": torch.randn(shape) * spread + offset, "residual": torch.randn(shape)}
    rows = {"weight": torch.rand(shape[1]) + 0.5, "bias": torch.randn(shape[1])}
    return {name: value.to(dtype).contiguous(memory_format=layout) for name, value in maps.items()} | rows


def assert_near(computed: Tensor, expected: Tensor, tolerance: float, scale: Tensor | float = 0.0) -> None:
    """In the relative norm; `scale` is what the terms of a sum that cancels are measured by."""
    error = (computed.detach().double() - expected.detach()).norm()
    assert error <= tolerance * torch.maximum(expected.detach().norm(), torch.as_tensor(scale))


def assert_same_for_any_threads(run: Callable[[], Tensor], leaves: Sequence[Tensor]) -> None:
    """Value and gradients have the same bits with one, two and three threads."""
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = run()
            results.append((y, *torch.autograd.grad(y, list(leaves), torch.ones_like(y).cumsum(3).sin())))
    finally:
        torch.set_num_threads(before)
    for result in results[1:]:
        assert all(torch.equal(value, first) for value, first in zip(result, results[0], strict=True))


def assert_batched_gradients(y: Tensor, x: Tensor) -> None:
    """Several gradients at once are those one by one."""
    grads = torch.randn(3, *y.shape)
    (together,) = torch.autograd.grad(y, x, grads, is_grads_batched=True, retain_graph=True)
    for grad, computed in zip(grads, together, strict=True):
        (alone,) = torch.autograd.grad(y, x, grad, retain_graph=True)
        torch.testing.assert_close(computed, alone)


def assert_second_derivatives(
    tensors: dict[str, Tensor], kernel: Callable[[dict[str, Tensor]], Tensor], oracle: Callable[..., Tensor]
) -> None:
    """The gradients of the squared gradient of x are the float64 oracle's."""
    penalties = []
    for values, run in ((tensors, kernel), ({name: value.double() for name, value in tensors.items()}, oracle)):
        leaves = {name: value.requires_grad_() for name, value in values.items()}
        (slope,) = torch.autograd.grad(run(values).square().sum(), leaves["x"], create_graph=True)
        penalties.append(torch.autograd.grad(slope.square().sum(), list(leaves.values()), allow_unused=True))
    for computed, expected in zip(*penalties, strict=True):
        if expected is None:
            assert computed is None or not computed.any()
        else:
            assert_near(computed, expected, 1e-4)
