"""The arithmetic that every scheme shares: statistics over a set of positions, then scale and shift.

A scheme is a choice of index set. Each set is a union of whole planes (n, c), so its mean is the mean of
plane means: one reduction over H, W serves batch, instance, layer and group norm, and pooling the small (N,
C) table does the rest. Statistics are two-pass, never E[x^2] - E[x]^2, in float32 (float64 for float64
input). The backward pass is written out by hand: it keeps the input and two small statistics where autograd
would keep whole maps. Under torch.compile and torch.export the plain operations of `reference.py` are traced,
which those tools fuse themselves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normlab.norms.reference import IndexSet, mixed_reference, normalize_reference, planes, pool, spread, wide


def normalize(
    x_nchw: Tensor,
    *,
    index_set: IndexSet,
    groups: int = 1,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise over an index set: y = (x - mean) / sqrt(var + eps) * weight_c + bias_c.

    Args:
        x_nchw: (N, C, H, W), any floating type, any memory format.
        index_set: what one mean runs over: "batch" (N,H,W), "instance" (H,W), "layer" (C,H,W), "group"
            (C/G,H,W) or "channel" (C, at each position).
        groups: G, read by "group" only; must divide C.
        weight: (C,) or None for 1.
        bias: (C,) or None for 0.
        eps: added to the variance.

    Returns:
        y with x's shape, type and memory format, then the mean and the biased variance, both without
        gradient, in float32 (float64 for float64 input), shaped (C,), (N, C), (N,), (N, G) or (N, H, W), in
        the order above.
    """
    if index_set == "channel":
        return _normalize_each_position(x_nchw, weight, bias, eps)
    if torch.compiler.is_compiling():
        return normalize_reference(x_nchw, index_set, groups, weight, bias, eps)
    return _Normalize.apply(x_nchw, weight, bias, index_set, groups, eps)


def normalize_mixed(
    x_nchw: Tensor,
    *,
    gate: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """Mix batch and instance norm: y = (gate_c * x_batch + (1 - gate_c) * x_instance) * weight_c + bias_c.

    Args:
        x_nchw: (N, C, H, W).
        gate: (C,), in [0, 1]: 1 is batch norm, 0 is instance norm.
        weight: (C,) or None for 1.
        bias: (C,) or None for 0.
        eps: added to both variances.

    Returns: y, and the batch's mean (C,) and biased variance (C,), as `normalize` does for "batch".
    """
    if torch.compiler.is_compiling():
        return mixed_reference(x_nchw, gate, weight, bias, eps)
    return _NormalizeMixed.apply(x_nchw, gate, weight, bias, eps)


def scale_shift(
    x_nchw: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise by given per-channel statistics (C,): batch norm in evaluation. Differentiable."""
    x = wide(x_nchw)
    scale = torch.rsqrt(var.to(x.dtype) + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return (x * planes(scale) + planes(shift)).to(x_nchw.dtype)


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


def _centre(x_nchw: Tensor, mean_planes: Tensor) -> Tensor:
    """Return x - mean as a new tensor of the accumulation type, which the caller may overwrite."""
    x = wide(x_nchw)
    return x - mean_planes if x is x_nchw else x.sub_(mean_planes)


def _plane_mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


class _Normalize(torch.autograd.Function):
    """`normalize` with a written-out backward. With u = weight * grad and averages over the index set:

    dx = rstd * (u - avg(u) - xhat * avg(u * xhat))                  (Ioffe & Szegedy 2015, sec. 3, collected)
    """

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor | None, bias: Tensor | None, index_set: IndexSet, groups: int, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        C = x.shape[1]
        mean = pool(_plane_mean(wide(x)), index_set, groups)
        y = _centre(x, planes(spread(mean, index_set, C)))
        var = pool(_plane_mean(y.square()), index_set, groups)
        scale = spread(torch.rsqrt(var + eps), index_set, C)
        y.mul_(planes(scale if weight is None else scale * weight))
        if bias is not None:
            y.add_(planes(bias.to(y.dtype)))
        return y.to(x.dtype), mean, var

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
        if grads[0] is None:
            return (None,) * 6
        if torch.is_grad_enabled():  # a second derivative was asked for: let autograd see the formula
            inputs = (x, weight, bias)
            y = normalize_reference(x, index_set, groups, weight, bias, eps)[0]
            return (*_gradients(ctx, y, inputs, grads[0]), None, None, None)

        C, size = x.shape[1], x.shape[2] * x.shape[3]
        rstd = torch.rsqrt(var + eps)
        rstd_nc = spread(rstd, index_set, C)
        centred = _centre(x, planes(spread(mean, index_set, C)))
        grad = wide(grads[0])
        grad_nc = _plane_mean(grad)
        grad_centred_nc = _plane_mean(grad * centred)

        d_weight = d_bias = d_x = None
        if ctx.needs_input_grad[1]:
            d_weight = (grad_centred_nc * rstd_nc).sum(0).mul_(size).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            d_bias = grad_nc.sum(0).mul_(size).to(bias.dtype)
        if ctx.needs_input_grad[0]:
            w = 1.0 if weight is None else weight.to(grad.dtype)
            slope = spread(rstd.pow(3) * pool(grad_centred_nc * w, index_set, groups), index_set, C)
            level = spread(rstd * pool(grad_nc * w, index_set, groups), index_set, C)
            d_x = _combine(grad, rstd_nc * w, centred, slope, level).to(x.dtype)
        return d_x, d_weight, d_bias, None, None, None


class _NormalizeMixed(torch.autograd.Function):
    """`normalize_mixed` with a written-out backward.

    Both halves are affine in x - mean_nc, so one pass over the map serves both: with delta = mean_nc -
    mean_c, the batch half is x - mean_c = (x - mean_nc) + delta, and var_c = avg_n(var_nc + delta^2) (Chan et
    al. 1979, eq. 2.1).
    """

    @staticmethod
    def forward(
        x: Tensor, gate: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean_nc = _plane_mean(wide(x))
        y = _centre(x, planes(mean_nc))
        var_nc = _plane_mean(y.square())
        mean_c = mean_nc.mean(0)
        delta = mean_nc - mean_c
        var_c = (var_nc + delta.square()).mean(0)
        batch = gate * torch.rsqrt(var_c + eps)
        instance = (1 - gate) * torch.rsqrt(var_nc + eps)
        w = torch.ones_like(mean_c) if weight is None else weight.to(y.dtype)
        shift = w * batch * delta
        y.mul_(planes(w * (batch + instance)))
        y.add_(planes(shift if bias is None else shift + bias))
        return y.to(x.dtype), mean_c, var_c

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
        x, gate, weight, bias, ctx.eps = inputs
        _, mean, var = output
        ctx.mark_non_differentiable(mean, var)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, gate, weight, bias, mean, var)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, gate, weight, bias, mean_c, var_c = ctx.saved_tensors
        if grads[0] is None:
            return (None,) * 5
        if torch.is_grad_enabled():
            y = mixed_reference(x, gate, weight, bias, ctx.eps)[0]
            return (*_gradients(ctx, y, (x, gate, weight, bias), grads[0]), None)

        size = x.shape[2] * x.shape[3]
        mean_nc = _plane_mean(wide(x))
        centred = _centre(x, planes(mean_nc))
        var_nc = _plane_mean(centred.square())
        delta = mean_nc - mean_c
        rstd_c, rstd_nc = torch.rsqrt(var_c + ctx.eps), torch.rsqrt(var_nc + ctx.eps)
        grad = wide(grads[0])
        g = gate.to(grad.dtype)
        w = torch.ones_like(mean_c) if weight is None else weight.to(grad.dtype)
        grad_nc = _plane_mean(grad)
        instance_nc = _plane_mean(grad * centred)  # avg of grad * (x - mean_nc) over each plane
        batch_nc = instance_nc + delta * grad_nc  # avg of grad * (x - mean_c) over each plane

        d_x = d_gate = d_weight = d_bias = None
        if ctx.needs_input_grad[0]:
            batch, instance = w * g * rstd_c, w * (1 - g) * rstd_nc
            batch_slope = batch * rstd_c.square() * batch_nc.mean(0)
            slope = batch_slope + instance * rstd_nc.square() * instance_nc
            level = batch * grad_nc.mean(0) + instance * grad_nc + delta * batch_slope
            d_x = _combine(grad, batch + instance, centred, slope, level).to(x.dtype)
        by_batch, by_instance = (rstd_c * batch_nc).sum(0) * size, (rstd_nc * instance_nc).sum(0) * size
        if ctx.needs_input_grad[1]:
            d_gate = (w * (by_batch - by_instance)).to(gate.dtype)
        if ctx.needs_input_grad[2]:
            d_weight = (g * by_batch + (1 - g) * by_instance).to(weight.dtype)
        if ctx.needs_input_grad[3]:
            d_bias = grad_nc.sum(0).mul_(size).to(bias.dtype)
        return d_x, d_gate, d_weight, d_bias, None


def _combine(grad: Tensor, scale: Tensor, centred: Tensor, slope: Tensor, level: Tensor) -> Tensor:
    """Return grad * scale - centred * slope - level; overwrites `centred`, coefficients per plane."""
    d_x = grad * planes(scale)
    return d_x.sub_(centred.mul_(planes(slope))).sub_(planes(level))


def _gradients(ctx: Any, y: Tensor, inputs: tuple[Tensor | None, ...], grad: Tensor) -> tuple[Tensor | None, ...]:
    """Differentiate y by those inputs that need it, keeping the graph; None for the others."""
    wanted = [t for t, needed in zip(inputs, ctx.needs_input_grad, strict=False) if needed and t is not None]
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return tuple(next(found) if needed else None for _, needed in zip(inputs, ctx.needs_input_grad, strict=False))
