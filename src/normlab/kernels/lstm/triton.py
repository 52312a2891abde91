"""The layer-normalised LSTM's recurrence for GPUs: per step one matrix product and one kernel, forward and backward.

The input product of all steps is one matrix product as in the reference. A step's products stay with cuBLAS; the
kernel does what follows them for a sentence each: layer norm of the recurrent sums, gates, cell, layer norm of the
cell, output and padding, where plain torch starts about twenty kernels. A plain LSTM has cuDNN and gets no kernel here.

Dimensions: T steps, B sentences, D input size, H hidden size, G = 4 H (gates in the order i, f, g, o).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

MOST_UNITS = 1024  # a sentence's four gates are held in registers


class TritonRunner:
    """Called exactly like `nn.lstm_reference.ReferenceRunner`."""

    def __init__(self, x_tbd: Tensor, lengths: Tensor | None) -> None:
        T, B = x_tbd.shape[:2]
        if lengths is None:
            self.mask_tb = torch.ones(T, B, dtype=torch.uint8, device=x_tbd.device)
        else:
            steps = torch.arange(T, device=x_tbd.device)
            self.mask_tb = (steps[:, None] < lengths.to(x_tbd.device, non_blocking=True)).to(torch.uint8)
        self.padded = lengths is not None

    def __call__(
        self, x_tbd: Tensor, state: tuple[Tensor, Tensor], weights: Any, *, reverse: bool, eps: float
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the output (T, B, H), 0 in padding, and the final (h, c), each (B, H)."""
        weight_ih, weight_hh, bias_ih, bias_hh, gain_ih, gain_hh, gain_c, bias_c = tuple(weights)[:8]  # no projection
        if self.padded:
            x_tbd = x_tbd.masked_fill(self.mask_tb[:, :, None] == 0, 0.0)
        sums = F.layer_norm(F.linear(x_tbd, weight_ih), bias_ih.shape, gain_ih, bias_ih, eps)
        y, h_n, c_n = _Recurrence.apply(
            sums, *state, weight_hh, gain_hh, bias_hh, gain_c, bias_c, self.mask_tb, reverse, eps
        )
        return y, (h_n, c_n)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        sums: Tensor,
        h0: Tensor,
        c0: Tensor,
        weight_hh: Tensor,
        gain_hh: Tensor,
        bias_hh: Tensor,
        gain_c: Tensor,
        bias_c: Tensor,
        mask_tb: Tensor,
        reverse: bool,
        eps: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        (T, B, G), H = sums.shape, h0.shape[1]
        sums = sums.contiguous()
        # Slot s holds the state before the s-th step that is taken, slot T the final one.
        h, c = (sums.new_empty(T + 1, B, H) for _ in range(2))
        h[0], c[0] = h0, c0
        y = sums.new_empty(T, B, H)
        acts, normal = (sums.new_empty(T, B, G) for _ in range(2))
        cell_normal = sums.new_empty(T, B, H)
        rstds = sums.new_empty(T, B, 2)
        rows = [row.contiguous() for row in (gain_hh, bias_hh, gain_c, bias_c)]
        for s, t in enumerate(_order(T, reverse)):
            products = h[s] @ weight_hh.t()
            _cell_kernel[(B,)](
                sums[t],
                products,
                h[s],
                c[s],
                *rows,
                mask_tb[t],
                h[s + 1],
                c[s + 1],
                y[t],
                acts[t],
                normal[t],
                cell_normal[t],
                rstds[t],
                H,
                eps,
                BLOCK=triton.next_power_of_2(H),
            )
        ctx.save_for_backward(h, c, acts, normal, cell_normal, rstds, weight_hh, *rows, mask_tb)
        ctx.reverse = reverse
        return y, h[T].clone(), c[T].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError("the Triton LSTM has first derivatives only; set NORMLAB_KERNELS=off for more")
        h, c, acts, normal, cell_normal, rstds, weight_hh, gain_hh, _, gain_c, bias_c, mask_tb = ctx.saved_tensors
        dy, dh, dc = (grad.contiguous() for grad in grads)
        (T, B, G), H = acts.shape, gain_c.shape[0]
        d_sums, d_products = acts.new_empty(T, B, G), acts.new_empty(T, B, G)
        d_shown = acts.new_empty(T, B, H)
        order = list(_order(T, ctx.reverse))
        for s in range(T - 1, -1, -1):
            t = order[s]
            passed, dc_before = torch.empty_like(dh), torch.empty_like(dc)
            _cell_backward_kernel[(B,)](
                dy[t],
                dh,
                dc,
                c[s],
                gain_hh,
                gain_c,
                bias_c,
                mask_tb[t],
                acts[t],
                normal[t],
                cell_normal[t],
                rstds[t],
                d_sums[t],
                d_products[t],
                d_shown[t],
                passed,
                dc_before,
                H,
                BLOCK=triton.next_power_of_2(H),
            )
            dh, dc = torch.addmm(passed, d_products[t], weight_hh), dc_before
        before = h[:T].flip(0) if ctx.reverse else h[:T]
        return (
            d_sums,
            dh,
            dc,
            d_products.flatten(0, 1).t() @ before.flatten(0, 1),
            (d_sums * normal).sum((0, 1)),
            d_sums.sum((0, 1)),
            (d_shown * cell_normal).sum((0, 1)),
            d_shown.sum((0, 1)),
            None,
            None,
            None,
        )


def _order(T: int, reverse: bool) -> range:
    return range(T - 1, -1, -1) if reverse else range(T)


@triton.jit
def _tanh(x):
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def _cell_kernel(
    sums,
    products,
    h,
    c,
    gain,
    bias,
    gain_c,
    bias_c,
    mask,
    h_next,
    c_next,
    y,
    acts,
    normal,
    cell_normal,
    rstds,
    H,
    eps,
    BLOCK: tl.constexpr,
):
    b = tl.program_id(0)
    k = tl.arange(0, BLOCK)
    unit = k < H
    real = tl.load(mask + b) != 0
    quarter = tl.arange(0, 4)
    at = quarter[:, None] * H + k[None, :]  # (4, BLOCK): gate by unit
    inside = (quarter[:, None] < 4) & unit[None, :]
    r = tl.load(products + b * 4 * H + at, mask=inside, other=0.0)
    mean = tl.sum(tl.sum(r, 1), 0) / (4 * H)
    off = tl.where(inside, r - mean, 0.0)
    rstd = 1 / tl.sqrt(tl.sum(tl.sum(off * off, 1), 0) / (4 * H) + eps)
    hat = off * rstd
    a = hat * tl.load(gain + at, mask=inside, other=0.0) + tl.load(bias + at, mask=inside, other=0.0)
    a += tl.load(sums + b * 4 * H + at, mask=inside, other=0.0)
    act = tl.where(quarter[:, None] == 2, _tanh(a), tl.sigmoid(a))
    i = tl.sum(tl.where(quarter[:, None] == 0, act, 0.0), 0)
    f = tl.sum(tl.where(quarter[:, None] == 1, act, 0.0), 0)
    g = tl.sum(tl.where(quarter[:, None] == 2, act, 0.0), 0)
    o = tl.sum(tl.where(quarter[:, None] == 3, act, 0.0), 0)
    c_old = tl.load(c + b * H + k, mask=unit, other=0.0)
    c_new = tl.where(unit, f * c_old + i * g, 0.0)
    c_mean = tl.sum(c_new, 0) / H
    c_off = tl.where(unit, c_new - c_mean, 0.0)
    c_rstd = 1 / tl.sqrt(tl.sum(c_off * c_off, 0) / H + eps)
    c_hat = c_off * c_rstd
    shown = c_hat * tl.load(gain_c + k, mask=unit, other=0.0) + tl.load(bias_c + k, mask=unit, other=0.0)
    h_new = o * _tanh(shown)
    h_old = tl.load(h + b * H + k, mask=unit, other=0.0)
    tl.store(h_next + b * H + k, tl.where(real, h_new, h_old), mask=unit)
    tl.store(c_next + b * H + k, tl.where(real, c_new, c_old), mask=unit)
    tl.store(y + b * H + k, tl.where(real, h_new, 0.0), mask=unit)
    tl.store(acts + b * 4 * H + at, act, mask=inside)
    tl.store(normal + b * 4 * H + at, hat, mask=inside)
    tl.store(cell_normal + b * H + k, c_hat, mask=unit)
    tl.store(rstds + b * 2, rstd)
    tl.store(rstds + b * 2 + 1, c_rstd)


@triton.jit
def _cell_backward_kernel(
    dy,
    dh,
    dc,
    c,
    gain,
    gain_c,
    bias_c,
    mask,
    acts,
    normal,
    cell_normal,
    rstds,
    d_sums,
    d_products,
    d_shown,
    passed,
    dc_before,
    H,
    BLOCK: tl.constexpr,
):
    b = tl.program_id(0)
    k = tl.arange(0, BLOCK)
    unit = k < H
    real = tl.load(mask + b) != 0
    quarter = tl.arange(0, 4)
    at = quarter[:, None] * H + k[None, :]
    inside = (quarter[:, None] < 4) & unit[None, :]
    i = tl.load(acts + b * 4 * H + k, mask=unit, other=0.0)
    f = tl.load(acts + b * 4 * H + H + k, mask=unit, other=0.0)
    g = tl.load(acts + b * 4 * H + 2 * H + k, mask=unit, other=0.0)
    o = tl.load(acts + b * 4 * H + 3 * H + k, mask=unit, other=0.0)
    c_hat = tl.load(cell_normal + b * H + k, mask=unit, other=0.0)
    dh_carried = tl.load(dh + b * H + k, mask=unit, other=0.0)
    dc_carried = tl.load(dc + b * H + k, mask=unit, other=0.0)
    d_out = tl.where(real, dh_carried + tl.load(dy + b * H + k, mask=unit, other=0.0), 0.0)
    gain_of_cell = tl.load(gain_c + k, mask=unit, other=0.0)
    s = _tanh(c_hat * gain_of_cell + tl.load(bias_c + k, mask=unit, other=0.0))
    ds = d_out * o * (1 - s * s)
    u = ds * gain_of_cell
    c_rstd = tl.load(rstds + b * 2 + 1)
    through = c_rstd * (u - tl.sum(u, 0) / H - c_hat * (tl.sum(u * c_hat, 0) / H))
    d_cell = tl.where(real & unit, dc_carried + through, 0.0)
    c_old = tl.load(c + b * H + k, mask=unit, other=0.0)
    d_i = d_cell * g * i * (1 - i)
    d_f = d_cell * c_old * f * (1 - f)
    d_g = d_cell * i * (1 - g * g)
    d_o = d_out * s * o * (1 - o)
    d_a = tl.where(
        quarter[:, None] == 0,
        d_i[None, :],
        tl.where(quarter[:, None] == 1, d_f[None, :], tl.where(quarter[:, None] == 2, d_g[None, :], d_o[None, :])),
    )
    hat = tl.load(normal + b * 4 * H + at, mask=inside, other=0.0)
    v = d_a * tl.load(gain + at, mask=inside, other=0.0)
    level = tl.sum(tl.sum(v, 1), 0) / (4 * H)
    slope = tl.sum(tl.sum(v * hat, 1), 0) / (4 * H)
    d_r = tl.where(real, tl.load(rstds + b * 2) * (v - level - hat * slope), 0.0)
    tl.store(d_sums + b * 4 * H + at, d_a, mask=inside)
    tl.store(d_products + b * 4 * H + at, d_r, mask=inside)
    tl.store(d_shown + b * H + k, ds, mask=unit)
    tl.store(passed + b * H + k, tl.where(real, 0.0, dh_carried), mask=unit)
    tl.store(dc_before + b * H + k, tl.where(real, d_cell * f, dc_carried), mask=unit)
