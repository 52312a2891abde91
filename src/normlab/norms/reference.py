"""The same arithmetic in plain, differentiable operations. It runs under tracing, and faster code is compared with it.

Shapes: N samples, C channels, H x W positions, G groups. A statistic is kept compact, (C,), (N, C), (N,) or
    (N, G) by index set; `spread` brings it to (1 or N, 1 or C), and `planes` adds the two axes by which it
    meets the map. The suffix `_nc` marks a table with one entry per plane.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

IndexSet = Literal["batch", "instance", "layer", "group", "channel"]


def normalize_reference(
    x_nchw: Tensor, index_set: IndexSet, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Do what `core.normalize` does for every index set but "channel"."""
    C, x = x_nchw.shape[1], wide(x_nchw)
    mean = pool(x.mean((2, 3)), index_set, groups)
    centred = x - planes(spread(mean, index_set, C))
    var = pool(centred.square().mean((2, 3)), index_set, groups)
    y = centred * planes(spread(torch.rsqrt(var + eps), index_set, C))
    return affine(y, weight, bias).to(x_nchw.dtype), mean.detach(), var.detach()


def mixed_reference(
    x_nchw: Tensor, gate: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Do what `core.normalize_mixed` does."""
    x, g = wide(x_nchw), planes(gate)
    by_batch, mean, var = normalize_reference(x, "batch", 1, None, None, eps)
    by_instance, _, _ = normalize_reference(x, "instance", 1, None, None, eps)
    return affine(g * by_batch + (1 - g) * by_instance, weight, bias).to(x_nchw.dtype), mean, var


def root_mean_square_reference(
    x_nchw: Tensor, axes: frozenset[str], weight: Tensor | None, bias: Tensor | None, eps: float | Tensor
) -> Tensor:
    """Return x / sqrt(mean(x^2) + eps) * weight_c + bias_c, the mean over those of the axes N, C, H and W."""
    x = wide(x_nchw)
    square = x.square().mean(["NCHW".index(axis) for axis in sorted(axes)], keepdim=True)
    return affine(x * torch.rsqrt(square + eps), weight, bias).to(x_nchw.dtype)


def wide_type(x: Tensor) -> torch.dtype:
    """Return the type in which statistics are taken: float64 stays, all else becomes float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def wide(x: Tensor) -> Tensor:
    """Return x in the type in which statistics are taken."""
    return x.to(wide_type(x))


def pool(values_nc: Tensor, index_set: IndexSet, groups: int) -> Tensor:
    """Average a table (N, C) of plane averages over the planes of each index set."""
    if index_set == "batch":
        return values_nc.mean(0)
    if index_set == "instance":
        return values_nc
    if index_set == "layer":
        return values_nc.mean(1)
    return values_nc.unflatten(1, (groups, values_nc.shape[1] // groups)).mean(2)


def spread(statistic: Tensor, index_set: IndexSet, num_channels: int) -> Tensor:
    """Give each plane the statistic of its index set: (1, C), (N, C) or (N, 1)."""
    if index_set == "batch":
        return statistic[None, :]
    if index_set == "instance":
        return statistic
    if index_set == "layer":
        return statistic[:, None]
    return statistic.repeat_interleave(num_channels // statistic.shape[1], dim=1)


def planes(table: Tensor) -> Tensor:
    """View (C,) or (rows, C) so that it broadcasts against (N, C, H, W)."""
    return table[..., None, None]


def affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return x * weight_c + bias_c, each part where given; (C,) against (N, C, H, W)."""
    if weight is not None:
        x = x * planes(weight.to(x.dtype))
    return x if bias is None else x + planes(bias.to(x.dtype))


def finish(y: Tensor, residual: Tensor | None, relu: bool) -> Tensor:
    """Return relu?(y + residual?): what follows a norm in a residual block."""
    if residual is not None:
        y = y + residual
    return torch.relu(y) if relu else y
