"""The arithmetic that every scheme shares: statistics over a set of positions, then scale and shift.

A scheme is a choice of index set. Each set is a union of whole planes (n, c), so its mean is the mean of
plane means: one reduction over H, W serves batch, instance, layer and group norm, and pooling the small (N,
C) table does the rest. Statistics are two-pass, never E[x^2] - E[x]^2, in float32 (float64 for float64
input). The backward pass is written out by hand: it keeps the input and two small statistics where autograd
would keep whole maps. Where a kernel takes the map (`kernels.norm.NORM`), it does all of this in one visit,
residual sum and ReLU included. Under torch.compile, torch.export, torch.jit.trace, torch.func and
forward-mode differentiation the plain operations of `reference.py` run, which those tools can take apart.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normlab.kernels.norm import NORM
from normlab.kernels.norm.scheme import BATCH, GROUPS, MIX
from normlab.kernels.runtime.guards import needs_plain_operations
from normlab.norms.maps import combined, plane_means, plane_products, plane_square_means, scaled
from normlab.norms.reference import (
    IndexSet,
    finish,
    mixed_reference,
    normalize_reference,
    planes,
    pool,
    spread,
    wide,
    wide_type,
)


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
    y, mean, var = _by_formula(x_nchw, index_set, groups, weight, bias, eps)
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
        return finish(_normalize_each_position(x_nchw, weight, bias, eps)[0], residual, relu)
    kind, count = _planes_of(index_set, groups, x_nchw)
    y = NORM.try_output(x_nchw, weight, bias, None, residual, None, None, kind, count, False, eps, relu)
    if y is not None:
        return y
    return finish(_by_formula(x_nchw, index_set, groups, weight, bias, eps)[0], residual, relu)


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
    elif needs_plain_operations():
        y, mean, var = mixed_reference(x_nchw, gate, weight, bias, eps)
    else:
        y, mean, var, *_ = _NormalizeMixed.apply(x_nchw, gate, weight, bias, eps)
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


def _by_formula(
    x_nchw: Tensor, index_set: IndexSet, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, mean and variance as `normalize` does, without a kernel."""
    if needs_plain_operations():
        return normalize_reference(x_nchw, index_set, groups, weight, bias, eps)
    result: tuple[Tensor, Tensor, Tensor] = _Normalize.apply(x_nchw, weight, bias, index_set, groups, eps)
    return result


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


class _Normalize(torch.autograd.Function):
    """`normalize` with a written-out backward. With u = weight * grad and averages over the index set:

    dx = rstd * (u - avg(u) - xhat * avg(u * xhat))                  (Ioffe & Szegedy 2015, sec. 3, collected)
    """

    @staticmethod
    def forward(
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        index_set: IndexSet,
        groups: int,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        C = x.shape[1]
        mean = pool(plane_means(x, wide_type(x)), index_set, groups)
        mean_rows = spread(mean, index_set, C)
        var = pool(plane_square_means(x, mean_rows), index_set, groups)
        scale = spread(torch.rsqrt(var + eps), index_set, C)
        if weight is not None:
            scale = scale * weight.to(mean.dtype)
        y = scaled(x, mean_rows, scale, None if bias is None else bias.to(mean.dtype)[None])
        return y, mean, var

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        x, weight, bias, *ctx.options = inputs
        _, mean, var = output
        ctx.mark_non_differentiable(mean, var)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, bias, mean, var)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, var = ctx.saved_tensors
        index_set, groups, eps = ctx.options
        grad = grads[0]
        if grad is None:
            return (None,) * 6
        if torch.is_grad_enabled():  # a second derivative was asked for: let autograd see the formula
            y = normalize_reference(x, index_set, groups, weight, bias, eps)[0]
            return (*_gradients(ctx, y, (x, weight, bias), grad), None, None, None)

        C, size = x.shape[1], x.shape[2] * x.shape[3]
        mean_rows, rstd = spread(mean, index_set, C), torch.rsqrt(var + eps)
        rstd_rows = spread(rstd, index_set, C)
        grad_nc, product_nc = plane_products(x, mean_rows, grad)
        w = torch.ones_like(grad_nc[0]) if weight is None else weight.to(mean.dtype)

        d_x = d_weight = d_bias = None
        if ctx.needs_input_grad[0]:
            slope = spread(rstd.pow(3) * pool(product_nc * w, index_set, groups), index_set, C)
            level = spread(rstd * pool(grad_nc * w, index_set, groups), index_set, C)
            d_x = combined(x, mean_rows, grad, rstd_rows * w, slope, level)
        if ctx.needs_input_grad[1]:
            d_weight = (product_nc * rstd_rows).sum(0).mul_(size).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            d_bias = grad_nc.sum(0).mul_(size).to(bias.dtype)
        return d_x, d_weight, d_bias, None, None, None


class _NormalizeMixed(torch.autograd.Function):
    """`normalize_mixed` with a written-out backward.

    Both halves are affine in x - mean_nc, so the same passes serve both: with delta = mean_nc - mean_c, the
    batch half is x - mean_c = (x - mean_nc) + delta, and var_c = avg_n(var_nc + delta^2).
    """

    @staticmethod
    def forward(
        x: Tensor, gate: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        mean_nc = plane_means(x, wide_type(x))
        var_nc = plane_square_means(x, mean_nc)
        mean = mean_nc.mean(0)
        delta = mean_nc - mean
        var = (var_nc + delta.square()).mean(0)
        batch, instance = _mixed_scales(gate, weight, var, var_nc, eps)
        shift = batch * delta if bias is None else batch * delta + bias.to(mean.dtype)
        return scaled(x, mean_nc, batch + instance, shift), mean, var, mean_nc, var_nc

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, gate, weight, bias, ctx.eps = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, gate, weight, bias, *output[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, gate, weight, bias, mean, var, mean_nc, var_nc = ctx.saved_tensors
        grad = grads[0]
        if grad is None:
            return (None,) * 5
        if torch.is_grad_enabled():
            y = mixed_reference(x, gate, weight, bias, ctx.eps)[0]
            return (*_gradients(ctx, y, (x, gate, weight, bias), grad), None)

        size, delta = x.shape[2] * x.shape[3], mean_nc - mean
        rstd, rstd_nc = torch.rsqrt(var + ctx.eps), torch.rsqrt(var_nc + ctx.eps)
        grad_nc, by_instance_nc = plane_products(x, mean_nc, grad)
        by_batch_nc = by_instance_nc + delta * grad_nc  # the mean of grad * (x - mean_c) over each plane

        d_x = d_gate = d_weight = d_bias = None
        if ctx.needs_input_grad[0]:
            batch, instance = _mixed_scales(gate, weight, var, var_nc, ctx.eps)
            batch_slope = batch * rstd.square() * by_batch_nc.mean(0)
            slope = batch_slope + instance * rstd_nc.square() * by_instance_nc
            level = batch * grad_nc.mean(0) + instance * grad_nc + delta * batch_slope
            d_x = combined(x, mean_nc, grad, batch + instance, slope, level)
        by_batch, by_instance = (rstd * by_batch_nc).sum(0) * size, (rstd_nc * by_instance_nc).sum(0) * size
        if ctx.needs_input_grad[1]:
            difference = by_batch - by_instance
            d_gate = (difference if weight is None else difference * weight).to(gate.dtype)
        if ctx.needs_input_grad[2]:
            d_weight = (gate * by_batch + (1 - gate) * by_instance).to(weight.dtype)
        if ctx.needs_input_grad[3]:
            d_bias = grad_nc.sum(0).mul_(size).to(bias.dtype)
        return d_x, d_gate, d_weight, d_bias, None


def _mixed_scales(
    gate: Tensor, weight: Tensor | None, var: Tensor, var_nc: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Return what multiplies x - mean in the batch half, (C,), and in the instance half, (N, C)."""
    g = gate.to(var.dtype)
    w = torch.ones_like(g) if weight is None else weight.to(var.dtype)
    return w * g * torch.rsqrt(var + eps), w * (1 - g) * torch.rsqrt(var_nc + eps)


def _gradients(ctx: Any, y: Tensor, inputs: tuple[Tensor | None, ...], grad: Tensor) -> tuple[Tensor | None, ...]:
    """Differentiate y by those inputs that need it, keeping the graph; None for the others."""
    leaves = [t for t, needed in zip(inputs, ctx.needs_input_grad, strict=False) if needed and t is not None]
    computed = iter(torch.autograd.grad(y, leaves, grad, create_graph=True))
    return tuple(next(computed) if needed else None for _, needed in zip(inputs, ctx.needs_input_grad, strict=False))
