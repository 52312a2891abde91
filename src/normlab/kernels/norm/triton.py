"""The norm kernels for GPUs: the formula of `norm.cpp` as a forward and a backward call, without autograd.

Forward is two visits of the map: moments of each plane (n, c), then scale, shift, residual and ReLU. Backward is
two more: products of each plane, then the gradient. What lies between is arithmetic on (N, C) tables, which every
scheme does in its own way, so that one pair of kernels (`triton_loops.py`) serves all of them.

Dimensions: N samples, C channels, P = H * W positions, R rows of a table: 1 or N.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from normlab.kernels.norm.scheme import GROUPS, MIX, Scheme
from normlab.kernels.norm.triton_loops import combine_kernel, moments_kernel, products_kernel, scale_kernel


def run_forward(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    residual: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    scheme: Scheme,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return y, mean, var and the table that the backward pass reads, (R, 2, sets): means and reciprocal deviations.

    x (N, C, H, W) dense, float32 or bfloat16; weight, bias, gate, mean and var (C,); residual like x.
    """
    C = x.shape[1]
    planes = _plane_moments(x) if scheme.kind == MIX or not scheme.given else None
    if not scheme.given:
        assert planes is not None
        mean, var = _pooled(*planes, scheme)
    assert mean is not None
    assert var is not None
    mean, var = mean.float(), var.float()
    rstd = torch.rsqrt(var + scheme.eps)
    w = x.new_ones(C, dtype=torch.float32) if weight is None else weight.float()
    b = x.new_zeros(C, dtype=torch.float32) if bias is None else bias.float()
    if scheme.kind == MIX:
        assert planes is not None
        assert gate is not None
        mean_nc, rstd_nc = planes[0], torch.rsqrt(planes[1] + scheme.eps)
        batch, instance = w * gate.float() * rstd, w * (1 - gate.float()) * rstd_nc
        table = _Table(mean_nc, batch + instance, batch * (mean_nc - mean) + b)
        means, rstds = torch.cat([mean[None], mean_nc]), torch.cat([rstd[None], rstd_nc])
    else:
        means, rstds = (values if scheme.kind == GROUPS else values[None] for values in (mean, rstd))
        table = _Table(_spread(means, scheme, C), _spread(rstds, scheme, C) * w, b.expand(len(means), C))
    y = _scaled(x, table, residual, scheme.relu)
    return y, mean, var, torch.stack([means, rstds], 1).double()


def run_backward(
    grad: Tensor,
    x: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    gate: Tensor | None,
    stats: Tensor,
    scheme: Scheme,
    with_residual: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return dx, dweight, dbias, dgate (MIX only) and dresidual (where it is not grad itself).

    y is the output, read where a ReLU follows; the rows are float32.
    """
    grad = _like(grad, x)
    y = y if scheme.relu else None
    w = x.new_ones(x.shape[1], dtype=torch.float32) if weight is None else weight.float()
    means, rstds = (_spread(table, scheme, x.shape[1]) for table in stats.float().unbind(1))
    centre = means[1:] if scheme.kind == MIX else means
    sums, products = _plane_products(x, grad, y, centre)
    dgate: Tensor | None = None
    if scheme.kind == MIX:
        assert gate is not None
        coefficients, dweight, dgate = _mixed_backward(sums, products, means, rstds, w, gate.float(), x, scheme)
    else:
        dweight = (products * rstds).sum(0)
        slope, level = _pooled_gradients(sums * w, products * w, rstds, x, scheme)
        coefficients = (rstds * w, slope, level)
    dx, dresidual = _combined(x, grad, y, centre, coefficients, with_residual and scheme.relu)
    return dx, dweight, sums.sum(0), dgate, dresidual


class _Table(NamedTuple):
    """y = (x - centre) * scale + shift, each (R, C) float32."""

    centre: Tensor
    scale: Tensor
    shift: Tensor


def _pooled(mean_nc: Tensor, var_nc: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Pool the planes' moments over the scheme's index set: (C,) or (N, G)."""
    axis = 0
    if scheme.kind == GROUPS:
        axis = 2
        mean_nc, var_nc = (table.unflatten(1, (scheme.groups, -1)) for table in (mean_nc, var_nc))
    mean = mean_nc.mean(axis, keepdim=True)
    return mean.squeeze(axis), (var_nc + (mean_nc - mean).square()).mean(axis)


def _spread(values: Tensor, scheme: Scheme, C: int) -> Tensor:
    """Give the channels of (N, G) groups theirs, (N, C); (R, C) stays."""
    return values.repeat_interleave(C // scheme.groups, 1) if scheme.kind == GROUPS else values


def _pooled_gradients(
    sums: Tensor, products: Tensor, rstds: Tensor, x: Tensor, scheme: Scheme
) -> tuple[Tensor, Tensor]:
    """Return slope and level (R, C) of dx = grad * A - (x - centre) * slope - level."""
    N, C = x.shape[:2]
    if scheme.given:
        return torch.zeros_like(rstds), torch.zeros_like(rstds)
    if scheme.kind == GROUPS:
        size = C // scheme.groups
        averages = (
            table.unflatten(1, (scheme.groups, size)).sum(2).repeat_interleave(size, 1) / (size * _positions(x))
            for table in (products, sums)
        )
    else:
        averages = (table.sum(0, keepdim=True) / (N * _positions(x)) for table in (products, sums))
    by_product, by_sum = averages
    return rstds.pow(3) * by_product, rstds * by_sum


def _mixed_backward(
    sums: Tensor,
    products: Tensor,
    means: Tensor,
    rstds: Tensor,
    w: Tensor,
    gate: Tensor,
    x: Tensor,
    scheme: Scheme,
) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
    """Return (A, slope, level) of dx about the planes' means, dweight and dgate."""
    P = _positions(x)
    rstd, rstd_nc, delta = rstds[0], rstds[1:], means[1:] - means[0]
    batch, instance = w * gate * rstd, w * (1 - gate) * rstd_nc
    by_batch = products + delta * sums  # the planes' sums of grad * (x - mean_c)
    slope = instance * rstd_nc.square() * products / P
    level = instance * sums / P
    if not scheme.given:
        batch_slope = batch * rstd.square() * by_batch.mean(0) / P
        slope = slope + batch_slope
        level = level + batch * sums.mean(0) / P + delta * batch_slope
    of_batch, of_instance = (rstd * by_batch).sum(0), (rstd_nc * products).sum(0)
    dweight = gate * of_batch + (1 - gate) * of_instance
    return (batch + instance, slope, level), dweight, w * (of_batch - of_instance)


def _plane_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each plane, (N, C) float32."""
    mean, var = (x.new_empty(x.shape[:2], dtype=torch.float32) for _ in range(2))
    grid, layout = _whole_planes(x)
    moments_kernel[grid](x, mean, var, *layout[:-2], BLOCK_C=layout[-2], BLOCK_P=layout[-1])
    return mean, var


def _plane_products(x: Tensor, grad: Tensor, y: Tensor | None, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Return the planes' sums of grad and of grad * (x - centre), (N, C); grad counts where y > 0."""
    sums, products = (x.new_empty(x.shape[:2], dtype=torch.float32) for _ in range(2))
    grid, layout = _whole_planes(x)
    centre = centre.contiguous()
    products_kernel[grid](
        x,
        grad,
        grad if y is None else y,
        centre,
        _row_stride(centre),
        sums,
        products,
        *layout[:-2],
        RELU=y is not None,
        BLOCK_C=layout[-2],
        BLOCK_P=layout[-1],
    )
    return sums, products


def _scaled(x: Tensor, table: _Table, residual: Tensor | None, relu: bool) -> Tensor:
    y = torch.empty_like(x)
    residual = None if residual is None else _like(residual, x)
    grid, layout = _tiles(x)
    centre, scale, shift = (rows.contiguous() for rows in table)
    scale_kernel[grid](
        x,
        x if residual is None else residual,
        y,
        centre,
        scale,
        shift,
        _row_stride(centre),
        *layout[:-2],
        RESIDUAL=residual is not None,
        RELU=relu,
        BLOCK_C=layout[-2],
        BLOCK_P=layout[-1],
    )
    return y


def _combined(
    x: Tensor,
    grad: Tensor,
    y: Tensor | None,
    centre: Tensor,
    coefficients: tuple[Tensor, Tensor, Tensor],
    with_residual: bool,
) -> tuple[Tensor, Tensor | None]:
    dx, dresidual = torch.empty_like(x), torch.empty_like(x) if with_residual else None
    grid, layout = _tiles(x)
    centre, *rows = (table.contiguous() for table in (centre, *coefficients))
    combine_kernel[grid](
        x,
        grad,
        grad if y is None else y,
        dx,
        dx if dresidual is None else dresidual,
        centre,
        *rows,
        _row_stride(centre),
        *layout[:-2],
        RELU=y is not None,
        WITH_RESIDUAL=with_residual,
        BLOCK_C=layout[-2],
        BLOCK_P=layout[-1],
    )
    return dx, dresidual


def _positions(x: Tensor) -> int:
    return x.shape[2] * x.shape[3]


def _row_stride(table: Tensor) -> int:
    return 0 if len(table) == 1 else table.shape[1]


def _like(values: Tensor, x: Tensor) -> Tensor:
    """Lay values out as x lies."""
    return values.contiguous(memory_format=torch.contiguous_format if x.is_contiguous() else torch.channels_last)


def _layout(x: Tensor, elements: int) -> tuple[int, ...]:
    """Return C, P, the strides of sample, channel and position, and a tile of at most `elements` numbers."""
    _, C, _, _ = x.shape
    P = _positions(x)
    if x.is_contiguous():
        strides, block_p = (C * P, P, 1), min(triton.next_power_of_2(P), elements // 4)
        block_c = min(triton.next_power_of_2(C), elements // block_p)
    else:
        strides, block_c = (C * P, 1, C), min(triton.next_power_of_2(C), 64)
        block_p = min(triton.next_power_of_2(P), elements // block_c)
    return C, P, *strides, block_c, block_p


def _whole_planes(x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    layout = _layout(x, 4096)
    return (x.shape[0], triton.cdiv(layout[0], layout[-2])), layout


def _tiles(x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    layout = _layout(x, 2048)
    return (x.shape[0], triton.cdiv(layout[0], layout[-2]), triton.cdiv(layout[1], layout[-1])), layout
