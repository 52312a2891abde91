"""The Triton norm: which maps it takes, the measurement that decides whether it is used, its autograd function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.norm.plain import gradients_with_graph, plain_norm
from normlab.kernels.norm.scheme import BATCH, Scheme
from normlab.kernels.runtime import gpu


def try_triton(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    residual: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    *scheme: Any,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return y, mean and var of a map on a GPU; None where Triton does not take it or was measured to be slower."""
    if not _takes(x, residual):
        return None
    layout = "NCHW" if x.is_contiguous() else "NHWC"
    N, C, H, W = x.shape
    family = f"{gpu.power_of_two(N)}x{C}x{H}x{W} {layout} {x.dtype}"
    if not gpu.is_faster("norm", family, lambda: _trials(x)):
        return None
    return _Norm.apply(x, weight, bias, gate, residual, mean, var, Scheme(*scheme))


def _takes(x: Tensor, residual: Tensor | None) -> bool:
    dense = x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last)
    fits = x.dim() == 4 and x.dtype in (torch.float32, torch.bfloat16) and x.numel() > 0 and dense
    return fits and (residual is None or (residual.dtype == x.dtype and residual.shape == x.shape))


def _trials(x: Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return batch norm with ReLU, forward and backward, by Triton and by torch.compile, for all schemes."""
    scheme = Scheme(BATCH, 1, False, 1e-5, True)
    x = torch.randn_like(x.detach())
    row = torch.ones(x.shape[1], device=x.device)
    module = gpu.triton_module("norm")
    none = x.new_empty(0)
    compiled = torch.compile(lambda x, w, b: plain_norm(x, w, b, None, none, none, scheme).relu())
    leaves = [tensor.clone().requires_grad_() for tensor in (x, row, row)]

    def by_triton() -> object:
        y, *_, stats = module.run_forward(x, row, row, None, None, None, None, scheme)
        return module.run_backward(x, x, y, row, None, stats, scheme, False)

    def by_compiler() -> object:
        with torch.enable_grad():
            return torch.autograd.grad(compiled(*leaves), leaves, x)

    return by_triton, by_compiler


class _Norm(torch.autograd.Function):
    """The autograd function around the calls of `triton.py`; what a second derivative needs is computed anew."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        gate: Tensor | None,
        residual: Tensor | None,
        mean: Tensor | None,
        var: Tensor | None,
        scheme: Scheme,
    ) -> tuple[Tensor, Tensor, Tensor]:
        forward = gpu.triton_module("norm").run_forward
        y, mean, var, stats = forward(x, weight, bias, gate, residual, mean, var, scheme)
        ctx.save_for_backward(x, y if scheme.relu else None, weight, bias, gate, stats, mean, var)
        ctx.scheme, ctx.with_residual = scheme, residual is not None
        ctx.mark_non_differentiable(mean, var)
        ctx.set_materialize_grads(False)
        return y, mean, var

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        grad, needed = grads[0], ctx.needs_input_grad
        if grad is None:
            return (None,) * 8
        x, y, weight, bias, gate, stats, mean, var = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative was asked for
            gradients = gradients_with_graph(x, y, weight, bias, gate, mean, var, grad, *ctx.scheme)
            return (*gradients, None, None, None)
        backward = gpu.triton_module("norm").run_backward
        dx, dweight, dbias, dgate, dresidual = backward(grad, x, y, weight, gate, stats, ctx.scheme, needed[4])
        return (
            dx,
            dweight.to(weight.dtype) if needed[1] else None,
            dbias.to(bias.dtype) if needed[2] else None,
            dgate.to(gate.dtype) if dgate is not None and needed[3] else None,
            (grad if dresidual is None else dresidual) if needed[4] else None,
            None,
            None,
            None,
        )
