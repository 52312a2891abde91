"""The kernel's formula in plain, differentiable operations: what a second derivative is taken of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def plain_squash(
    x: Tensor, alpha: Tensor, shift: Tensor | None, weight: Tensor | None, bias: Tensor | None, *, is_erf: bool
) -> Tensor:
    """Return f(alpha * x + shift) * weight_c + bias_c in x's type, f being erf or tanh."""
    inner = alpha.float() * x.float()
    inner = inner if shift is None else inner + shift.float()
    y = torch.erf(inner) if is_erf else torch.tanh(inner)
    if weight is not None:
        y = y * weight.float()[:, None, None]
    return (y if bias is None else y + bias.float()[:, None, None]).to(x.dtype)


def gradients_with_graph(
    inputs: Sequence[Tensor | None], grads: Sequence[Tensor], is_erf: float
) -> tuple[Tensor | None, ...]:
    """Return the gradients of x, alpha, shift, weight, bias and residual, with a graph of their own if grad mode is on.

    Args:
        inputs: x, y where a ReLU follows, alpha, shift, weight, bias.
        grads: that of the output.
        is_erf: 1 for erf, 0 for tanh.
    """
    x, y, *others = inputs
    grad = grads[0] if y is None else grads[0] * (y > 0)
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # A view each: of two inputs that are one tensor, each has a gradient of its own.
        views = [None if tensor is None else tensor.view_as(tensor) for tensor in (x, *others)]
        output = plain_squash(*views, is_erf=bool(is_erf))  # type: ignore[arg-type]
        leaves = [view for view in views if view is not None and view.requires_grad]
        computed = iter(torch.autograd.grad(output, leaves, grad, create_graph=create_graph))
    return (*(next(computed) if view is not None and view.requires_grad else None for view in views), grad)
