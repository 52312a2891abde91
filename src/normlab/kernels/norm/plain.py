"""The kernel's formula in plain, differentiable operations: what a second derivative runs through."""

from __future__ import annotations

import torch
from torch import Tensor

from normlab.kernels.norm.calls import BATCH, GROUPS, Scheme


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


def _standard(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(var + eps)


def _planes(row: Tensor) -> Tensor:
    return row[:, None, None]
