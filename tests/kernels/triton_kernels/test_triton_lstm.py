"""The Triton recurrence equals the reference in float64: both directions, any lengths, every gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from normlab.nn.lstm_reference import LSTMWeights, ReferenceRunner


def everything(runner: type, dtype: torch.dtype, reverse: bool, lengths: Tensor | None) -> list[Tensor]:
    """Outputs and the gradients of input, states and weights."""
    T, B, D, H = 4, 3, 5, 6
    generator = torch.Generator().manual_seed(2)
    G = 4 * H
    shapes = [(G, D), (G, H), (G,), (G,), (G,), (G,), (H,), (H,)]
    leaves = [torch.randn(size, generator=generator).to(dtype) for size in [(T, B, D), (B, H), (B, H), *shapes]]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    x, h, c, *weights = leaves
    run = runner(x, lengths)
    y, (h_n, c_n) = run(x, (h, c), LSTMWeights(*weights), reverse=reverse, eps=1e-5)
    slopes = torch.linspace(-1, 1, y.numel(), dtype=dtype).view_as(y)
    ((y * slopes).sum() + h_n.square().sum() + c_n.sin().sum()).backward()
    return [y, h_n, c_n, *(leaf.grad for leaf in leaves)]  # type: ignore[misc]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [4, 2, 0]])
def test_outputs_and_gradients_are_those_of_the_reference(reverse: bool, lengths: list[int] | None) -> None:
    from normlab.kernels.lstm.triton import TritonRunner

    steps = None if lengths is None else torch.tensor(lengths)
    computed = everything(TritonRunner, torch.float32, reverse, steps)
    expected = everything(ReferenceRunner, torch.float64, reverse, steps)
    for one, other in zip(computed, expected, strict=True):
        torch.testing.assert_close(one.double(), other, atol=2e-4, rtol=1e-3)
