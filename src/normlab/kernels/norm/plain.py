"""The kernel's formula in plain, differentiable operations: what a second derivative is taken of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normlab.kernels.norm.scheme import BATCH, GROUPS, Scheme


def plain_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    mean: Tensor,
    var: Tensor,
    scheme: Scheme,
) -> Tensor:
    """Return norm(x) * weight_c + bias_c in x's type; mean and var (C,) are read where they are given."""
    wide = x.float()
    if scheme.kind == GROUPS:
        grouped = wide.unflatten(1, (scheme.groups, -1))
        y = _standard(grouped, (2, 3, 4), scheme.eps).flatten(1, 2)
    else:
        y = _standard(wide, (0, 2, 3), scheme.eps)
        if scheme.given:
            y = (wide - _planes(mean)) * torch.rsqrt(_planes(var) + scheme.eps)
        if scheme.kind != BATCH and gate is not None:
            y = _planes(gate) * y + (1 - _planes(gate)) * _standard(wide, (2, 3), scheme.eps)
    if weight is not None:
        y = y * _planes(weight.float())
    return (y if bias is None else y + _planes(bias.float())).to(x.dtype)


def gradients_with_graph(
    x: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    mean: Tensor,
    var: Tensor,
    grad: Tensor,
    *scheme: Any,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of x, weight, bias, gate and residual, which can be differentiated again.

    y is the output where a ReLU follows; `scheme` has the values of a `Scheme`.
    """
    grad = grad if y is None else grad * (y > 0)
    inputs = (x, weight, bias, gate)
    leaves = [tensor for tensor in inputs if tensor is not None and tensor.requires_grad]
    output = plain_norm(x, weight, bias, gate, mean, var, Scheme(*scheme))
    computed = iter(torch.autograd.grad(output, leaves, grad, create_graph=True))
    return (*(next(computed) if tensor is not None and tensor.requires_grad else None for tensor in inputs), grad)


def _standard(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(var + eps)


def _planes(row: Tensor) -> Tensor:
    return row[:, None, None]
