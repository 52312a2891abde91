"""The norm kernel as operators that torch's compilers know: shapes without data, and a derivative.

`normlab::norm` and `normlab::norm_backward` run the same calls as the eager path of `norm`; a program that
was compiled or exported with them needs `normlab.kernels.norm.dispatch` imported where it runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normlab.kernels.norm.calls import GROUPS, Scheme, run_backward, run_forward, stats_shape


@torch.library.custom_op("normlab::norm", mutates_args=(), device_types=("cpu", "cuda"))
def norm_op(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    residual: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    kind: int,
    groups: int,
    given: bool,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return y, mean, var and the statistics' table, as `norm_calls.run_forward` does."""
    scheme = Scheme(kind, groups, given, eps, relu)
    y, used_mean, used_var, stats = run_forward(x, weight, bias, gate, residual, mean, var, scheme)
    if given:  # an operator's outputs are new tensors
        used_mean, used_var = used_mean.clone(), used_var.clone()
    return y, used_mean, used_var, stats


@norm_op.register_fake
def _(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    residual: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    kind: int,
    groups: int,
    given: bool,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    N, C = x.shape[:2]
    shape = (N, groups) if kind == GROUPS else (C,)
    used_mean, used_var = (x.new_empty(shape, dtype=torch.float32) for _ in range(2))
    stats = x.new_empty(stats_shape(N, C, kind, groups), dtype=torch.float64)
    return torch.empty_like(x), used_mean, used_var, stats


@torch.library.custom_op("normlab::norm_backward", mutates_args=(), device_types=("cpu", "cuda"))
def norm_backward_op(
    grad: Tensor,
    x: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    gate: Tensor | None,
    stats: Tensor,
    kind: int,
    groups: int,
    given: bool,
    eps: float,
    with_residual: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx, the rows (3, C) of dweight, dbias and dgate, and dresidual, empty where grad itself is it.

    y is given where a ReLU follows.
    """
    scheme = Scheme(kind, groups, given, eps, y is not None)
    dx, dweight, dbias, dgate, dresidual = run_backward(grad, x, y, weight, gate, stats, scheme, with_residual)
    rows = torch.stack([dweight, dbias, torch.zeros_like(dbias) if dgate is None else dgate])
    return dx, rows, grad.new_empty(0) if dresidual is None else dresidual


@norm_backward_op.register_fake
def _(
    grad: Tensor,
    x: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    gate: Tensor | None,
    stats: Tensor,
    kind: int,
    groups: int,
    given: bool,
    eps: float,
    with_residual: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    masked = with_residual and y is not None
    rows = x.new_empty((3, x.shape[1]), dtype=torch.float32)
    return torch.empty_like(x), rows, torch.empty_like(x) if masked else grad.new_empty(0)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, bias, gate, _residual, _mean, _var, *scheme = inputs
    ctx.scheme = Scheme(*scheme)
    ctx.mark_non_differentiable(*output[1:])
    ctx.types = [None if row is None else row.dtype for row in (weight, bias, gate)]
    ctx.save_for_backward(x, output[0] if ctx.scheme.relu else None, weight, gate, output[3])


def _differentiate(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    x, y, weight, gate, stats = ctx.saved_tensors
    options, needed = ctx.scheme[:4], ctx.needs_input_grad
    dx, rows, dresidual = norm_backward_op(grads[0], x, y, weight, gate, stats, *options, needed[4])
    d_rows = [
        None if dtype is None or not need else row.to(dtype)
        for row, dtype, need in zip(rows, ctx.types, needed[1:4], strict=True)
    ]
    d_residual = None if not needed[4] else grads[0] if y is None else dresidual
    return (dx, *d_rows, d_residual, *(None,) * 7)


norm_op.register_autograd(_differentiate, setup_context=_save)
