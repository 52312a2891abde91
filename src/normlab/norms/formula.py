"""What `core.py` computes without a kernel: the forward passes on planes, and backward passes written out by hand.

A backward pass keeps the input and two small statistics where autograd would keep whole maps. Asked for a second
derivative, it differentiates the plain operations of `reference.py` instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime.guards import needs_plain_operations
from normlab.norms.maps import combined, plane_means, plane_products, plane_square_means, scaled
from normlab.norms.reference import IndexSet, mixed_reference, normalize_reference, pool, spread, wide_type


def normalize_by_formula(
    x_nchw: Tensor, index_set: IndexSet, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, mean and variance of `core.normalize`, whose arguments these are."""
    if needs_plain_operations():
        return normalize_reference(x_nchw, index_set, groups, weight, bias, eps)
    result: tuple[Tensor, Tensor, Tensor] = _Normalize.apply(x_nchw, weight, bias, index_set, groups, eps)
    return result


def mix_by_formula(
    x_nchw: Tensor, gate: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y, mean and variance of `core.normalize_mixed`, whose arguments these are."""
    if needs_plain_operations():
        return mixed_reference(x_nchw, gate, weight, bias, eps)
    y, mean, var, *_ = _NormalizeMixed.apply(x_nchw, gate, weight, bias, eps)
    return y, mean, var


class _Normalize(torch.autograd.Function):
    """`core.normalize` without a kernel. With u = weight * grad and averages over the index set:

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
    """`core.normalize_mixed` without a kernel.

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
