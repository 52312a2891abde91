"""The kernel's formula in plain, differentiable operations: what a second derivative is taken of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def plain_pixels(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, *, centred: bool) -> Tensor:
    """Return norm(x) * weight_c + bias_c in x's type, statistics over the channels of each position."""
    wide = x.float()
    deviation = wide - wide.mean(1, keepdim=True) if centred else wide
    y = deviation * torch.rsqrt(deviation.square().mean(1, keepdim=True) + eps)
    if weight is not None:
        y = y * weight.float()[:, None, None]
    return (y if bias is None else y + bias.float()[:, None, None]).to(x.dtype)


def gradients_with_graph(
    inputs: Sequence[Tensor | None], grads: Sequence[Tensor], signed_eps: float
) -> tuple[Tensor | None, ...]:
    """Return the gradients of x, weight, bias and residual, with a graph of their own if grad mode is on.

    Args:
        inputs: x, y where a ReLU follows, weight, bias.
        grads: that of the output.
        signed_eps: eps, negative where no mean is subtracted.
    """
    x, y, weight, bias = inputs
    assert x is not None
    grad = grads[0] if y is None else grads[0] * (y > 0)
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # A view each: of two inputs that are one tensor, each has a gradient of its own.
        views = [None if tensor is None else tensor.view_as(tensor) for tensor in (x, weight, bias)]
        assert views[0] is not None
        output = plain_pixels(views[0], views[1], views[2], abs(signed_eps), centred=signed_eps > 0)
        leaves = [view for view in views if view is not None and view.requires_grad]
        computed = iter(torch.autograd.grad(output, leaves, grad, create_graph=create_graph))
    return (*(next(computed) if view is not None and view.requires_grad else None for view in views), grad)
