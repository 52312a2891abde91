"""The arithmetic that every scheme shares: statistics over a set of positions, then scale and shift.

A scheme is a choice of index set. Each set is a union of whole planes (n, c), so its mean is the mean of
plane means: one reduction over H, W serves batch, instance, layer and group norm, and pooling the small (N,
C) table does the rest. Statistics are two-pass, never E[x^2] - E[x]^2, in float32 (float64 for float64
input). Where a kernel takes the map (`kernels.norm.NORM`), it does all of this in one visit, residual sum and ReLU
included; elsewhere `formula.py` does, with backward passes written out by hand. Under torch.compile, torch.export,
torch.jit.trace, torch.func and forward-mode differentiation the plain operations of `reference.py` run, which those
tools can take apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

from normlab.kernels.norm import NORM
from normlab.kernels.norm.scheme import BATCH, GROUPS, MIX
from normlab.kernels.pixels import PIXELS
from normlab.norms.formula import mix_by_formula, normalize_by_formula
from normlab.norms.reference import IndexSet, finish, planes, wide


def normalize(
    x_nchw: Tensor,
    *,
    index_set: IndexSet,
    groups: int = 1,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    residual: Tensor | None = None,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise over an index set: y = relu?((x - mean) / sqrt(var + eps) * weight_c + bias_c + residual?).

    Args:
        x_nchw: (N, C, H, W), any floating type, any memory format.
        index_set: what one mean runs over: "batch" (N,H,W), "instance" (H,W), "layer" (C,H,W), "group"
            (C/G,H,W) or "channel" (C, at each position).
        groups: G, read by "group" only; must divide C.
        weight: (C,) or None for 1.
        bias: (C,) or None for 0.
        eps: added to the variance.
        residual: added after the norm; like x.
        relu: whether a ReLU comes last.

    Returns:
        y with x's shape, type and memory format, then the mean and the biased variance, both without
        gradient, in float32 (float64 for float64 input), shaped (C,), (N, C), (N,), (N, G) or (N, H, W), in
        the order above.
    """
    if index_set == "channel":
        y, mean, var = _normalize_each_position(x_nchw, weight, bias, eps)
        return finish(y, residual, relu), mean, var
    kind, count = _planes_of(index_set, groups, x_nchw)
    result = NORM.try_call(x_nchw, weight, bias, None, residual, None, None, kind, count, False, eps, relu)
    if result is not None:
        y, mean, var = result
        return (y, mean.view(-1), var.view(-1)) if index_set == "layer" else result
    y, mean, var = normalize_by_formula(x_nchw, index_set, groups, weight, bias, eps)
    return finish(y, residual, relu), mean, var


def normalized(
    x_nchw: Tensor,
    *,
    index_set: IndexSet,
    groups: int = 1,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Return y of `normalize`, by the same arguments, alone: what a scheme that keeps no statistics asks for."""
    if index_set == "channel":
        y = PIXELS.try_call(x_nchw, weight, bias, residual, True, eps, relu)
        return finish(_normalize_each_position(x_nchw, weight, bias, eps)[0], residual, relu) if y is None else y
    kind, count = _planes_of(index_set, groups, x_nchw)
    y = NORM.try_output(x_nchw, weight, bias, None, residual, None, None, kind, count, False, eps, relu)
    if y is not None:
        return y
    return finish(normalize_by_formula(x_nchw, index_set, groups, weight, bias, eps)[0], residual, relu)


def normalize_mixed(
    x_nchw: Tensor,
    *,
    gate: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    residual: Tensor | None = None,
    relu: bool = False,
    running: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Mix batch and instance norm.

    y = relu?((gate_c * x_batch + (1 - gate_c) * x_instance) * weight_c + bias_c + residual?)

    Args:
        x_nchw: (N, C, H, W).
        gate: (C,), in [0, 1]: 1 is batch norm, 0 is instance norm.
        weight: (C,) or None for 1.
        bias: (C,) or None for 0.
        eps: added to both variances.
        residual: added after the norm; like x.
        relu: whether a ReLU comes last.
        running: mean and variance (C,) for the batch half instead of the batch's own, as in evaluation.

    Returns: y, and the batch half's mean (C,) and biased variance (C,), as `normalize` does for "batch".
    """
    mean, var = running or (None, None)
    is_given = running is not None
    result = NORM.try_call(x_nchw, weight, bias, gate, residual, mean, var, MIX, 1, is_given, eps, relu)
    if result is not None:
        return result
    if running is not None:
        y, mean, var = _mixed_with_given(x_nchw, gate, weight, bias, eps, running), *running
    else:
        y, mean, var = mix_by_formula(x_nchw, gate, weight, bias, eps)
    return finish(y, residual, relu), mean, var


def scale_shift(
    x_nchw: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Normalise by given per-channel statistics (C,): batch norm in evaluation. Differentiable."""
    result = NORM.try_call(x_nchw, weight, bias, None, residual, mean, var, BATCH, 1, True, eps, relu)
    if result is not None:
        return result[0]
    x = wide(x_nchw)
    scale = torch.rsqrt(var.to(x.dtype) + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return finish((x * planes(scale) + planes(shift)).to(x_nchw.dtype), residual, relu)


def _planes_of(index_set: IndexSet, groups: int, x_nchw: Tensor) -> tuple[int, int]:
    """Return which planes share statistics in the kernel's terms: the kind, and the groups of a sample."""
    if index_set == "batch":
        return BATCH, 1
    return GROUPS, x_nchw.shape[1] if index_set == "instance" else 1 if index_set == "layer" else groups


def _mixed_with_given(
    x_nchw: Tensor,
    gate: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    running: tuple[Tensor, Tensor],
) -> Tensor:
    """Mix batch norm by given statistics with the image's own instance norm."""
    x, scale = wide(x_nchw), torch.ones_like(gate) if weight is None else weight
    by_batch = scale_shift(x, *running, gate * scale, bias, eps)
    by_instance = normalized(x, index_set="instance", weight=(1 - gate) * scale, eps=eps)
    return (by_batch + by_instance).to(x_nchw.dtype)


def _normalize_each_position(
    x_nchw: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Treat every position as a sample of its own, of C channels and one pixel: then "channel" is "layer"."""
    N, C, H, W = x_nchw.shape
    pixels = x_nchw.permute(0, 2, 3, 1).reshape(N * H * W, C, 1, 1)
    y, mean, var = normalize(pixels, index_set="layer", weight=weight, bias=bias, eps=eps)
    y_nchw = y.view(N, H, W, C).permute(0, 3, 1, 2)
    if x_nchw.is_contiguous():
        y_nchw = y_nchw.contiguous()
    return y_nchw, mean.view(N, H, W), var.view(N, H, W)
