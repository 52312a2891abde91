"""The norm by torch's own operations, for maps on which they are faster than the kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normlab.kernels.norm.scheme import BATCH


def norm_by_torch(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    gate: Tensor | None,
    residual: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    kind: int,
    groups: int,
    given: bool,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, mean and biased variance, as `NormKernel` does; kind is BATCH or GROUPS, and there is no gate."""
    if kind != BATCH:
        N, C, H, W = x.shape
        y, mean, rstd = torch.native_group_norm(x, weight, bias, N, C, H * W, groups, eps)
        var = _variance(rstd, eps)
    elif given:
        y = torch.native_batch_norm(x, weight, bias, mean, var, False, 0.0, eps)[0]
        assert mean is not None
        assert var is not None
    else:
        y, mean, rstd = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        var = _variance(rstd, eps)
    return _finish(y, residual, relu), mean, var


def norm_output_by_torch(*arguments: Any) -> Tensor:
    """Return y of `norm_by_torch` alone, which takes the same arguments."""
    x, weight, bias, _, residual, _, _, kind, groups, _, eps, relu = arguments
    if kind == BATCH:
        return norm_by_torch(*arguments)[0]
    return _finish(torch.group_norm(x, groups, weight, bias, eps), residual, relu)


def _finish(y: Tensor, residual: Tensor | None, relu: bool) -> Tensor:
    if residual is not None:
        y = y + residual
    return torch.relu_(y) if relu else y  # in place: no backward pass here reads y


def _variance(rstd: Tensor, eps: float) -> Tensor:
    """Return the variance behind 1 / sqrt(var + eps)."""
    return rstd.detach().float().pow(-2).sub_(eps).clamp_(min=0)
