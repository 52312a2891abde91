"""What a GPU runs on a map for `triton.py`: a program a tile of channels and positions of one sample.

Statistics are two-pass in float32. C channels, P = H * W positions, s_n, s_c, s_p the strides of sample, channel and
position; s_row is a table's stride by sample, 0 where all samples share its row.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def moments_kernel(x, mean, var, C, P, s_n, s_c, s_p, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr):
    """Store mean and biased variance, (N, C), of each plane: two passes, the second about the mean."""
    n = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    planes = x + n * s_n + c[:, None] * s_c
    total = tl.zeros((BLOCK_C,), tl.float32)
    for first in range(0, P, BLOCK_P):
        p = first + tl.arange(0, BLOCK_P)
        inside = (c[:, None] < C) & (p[None, :] < P)
        total += tl.sum(tl.load(planes + p[None, :] * s_p, mask=inside, other=0.0).to(tl.float32), 1)
    average = total / P
    squares = tl.zeros((BLOCK_C,), tl.float32)
    for first in range(0, P, BLOCK_P):
        p = first + tl.arange(0, BLOCK_P)
        inside = (c[:, None] < C) & (p[None, :] < P)
        values = tl.load(planes + p[None, :] * s_p, mask=inside, other=0.0).to(tl.float32)
        off = tl.where(inside, values - average[:, None], 0.0)
        squares += tl.sum(off * off, 1)
    tl.store(mean + n * C + c, average, mask=c < C)
    tl.store(var + n * C + c, squares / P, mask=c < C)


@triton.jit
def products_kernel(
    x,
    grad,
    y,
    centre,
    s_row,
    sums,
    products,
    C,
    P,
    s_n,
    s_c,
    s_p,
    RELU: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Store the planes' sums of grad and of grad * (x - centre), (N, C); with RELU, grad counts where y > 0."""
    n = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    middle = tl.load(centre + n * s_row + c, mask=c < C, other=0.0)
    total = tl.zeros((BLOCK_C,), tl.float32)
    product = tl.zeros((BLOCK_C,), tl.float32)
    for first in range(0, P, BLOCK_P):
        p = first + tl.arange(0, BLOCK_P)
        inside = (c[:, None] < C) & (p[None, :] < P)
        at = n * s_n + c[:, None] * s_c + p[None, :] * s_p
        values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        g = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32)
        if RELU:
            g = tl.where(tl.load(y + at, mask=inside, other=0.0).to(tl.float32) > 0, g, 0.0)
        total += tl.sum(g, 1)
        product += tl.sum(g * (values - middle[:, None]), 1)
    tl.store(sums + n * C + c, total, mask=c < C)
    tl.store(products + n * C + c, product, mask=c < C)


@triton.jit
def scale_kernel(
    x,
    residual,
    y,
    centre,
    scale,
    shift,
    s_row,
    C,
    P,
    s_n,
    s_c,
    s_p,
    RESIDUAL: tl.constexpr,
    RELU: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Store y = relu?((x - centre) * scale + shift + residual?)."""
    n = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    p = tl.program_id(2) * BLOCK_P + tl.arange(0, BLOCK_P)
    inside = (c[:, None] < C) & (p[None, :] < P)
    at = n * s_n + c[:, None] * s_c + p[None, :] * s_p
    row = n * s_row + c
    middle = tl.load(centre + row, mask=c < C, other=0.0)
    slope = tl.load(scale + row, mask=c < C, other=0.0)
    level = tl.load(shift + row, mask=c < C, other=0.0)
    values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    out = (values - middle[:, None]) * slope[:, None] + level[:, None]
    if RESIDUAL:
        out += tl.load(residual + at, mask=inside, other=0.0).to(tl.float32)
    if RELU:
        # Written so that a NaN stays one, as in torch.
        out = tl.where(out < 0, 0.0, out)
    tl.store(y + at, out.to(y.dtype.element_ty), mask=inside)


@triton.jit
def combine_kernel(
    x,
    grad,
    y,
    dx,
    dresidual,
    centre,
    scale,
    slope,
    level,
    s_row,
    C,
    P,
    s_n,
    s_c,
    s_p,
    RELU: tl.constexpr,
    WITH_RESIDUAL: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Store dx = grad * scale - (x - centre) * slope - level, and grad where y > 0 as dresidual if it is asked for."""
    n = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    p = tl.program_id(2) * BLOCK_P + tl.arange(0, BLOCK_P)
    inside = (c[:, None] < C) & (p[None, :] < P)
    at = n * s_n + c[:, None] * s_c + p[None, :] * s_p
    row = n * s_row + c
    middle = tl.load(centre + row, mask=c < C, other=0.0)
    a = tl.load(scale + row, mask=c < C, other=0.0)
    s = tl.load(slope + row, mask=c < C, other=0.0)
    b = tl.load(level + row, mask=c < C, other=0.0)
    values = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    g = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32)
    if RELU:
        g = tl.where(tl.load(y + at, mask=inside, other=0.0).to(tl.float32) > 0, g, 0.0)
    if WITH_RESIDUAL:
        tl.store(dresidual + at, g.to(dx.dtype.element_ty), mask=inside)
    d = g * a[:, None] - (values - middle[:, None]) * s[:, None] - b[:, None]
    tl.store(dx + at, d.to(dx.dtype.element_ty), mask=inside)
