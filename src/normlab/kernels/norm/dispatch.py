"""Normalization with its residual sum and ReLU in one visit of the map, on CPUs, forward and backward.

Where a chain of torch calls writes a map at each step, the kernel (`norm.cpp`) reads x once or twice and
writes y once; for the backward pass it keeps x, y where a ReLU needs its sign, and a small table of
statistics. `attempt` answers None for what the kernel does not take, which is for the caller's plain PyTorch
reference; the functions with readable arguments want `available` asked first.
Eager calls go through the autograd function of `glue_norm.h`, the cheapest way, or where that is unavailable
through the one of Python below; under torch.compile and torch.export the same calls are the operators of
`norm_ops`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from normlab.kernels.norm.calls import BATCH, GROUPS, MIX, Scheme, library, run_backward, run_forward
from normlab.kernels.norm.operators import norm_op
from normlab.kernels.norm.plain import plain_norm
from normlab.kernels.runtime import glue, gpu
from normlab.kernels.runtime.guards import needs_plain_operations

IndexSet = Literal["batch", "instance", "layer", "group"]


def available(x: Tensor, residual: Tensor | None = None) -> bool:
    """Return whether the kernel takes x: a dense float32 or bfloat16 (N, C, H, W) map on a CPU, not empty.

    Dense means contiguous as NCHW or as channels_last. A residual must have x's shape and type. The answer is
    no where the library is unavailable, and where `needs_plain_operations`.
    """
    if needs_plain_operations():
        return False
    if x.is_cuda:
        return gpu.takes_norm(x, residual)
    return (
        type(x) in (Tensor, torch.nn.Parameter)
        and x.dtype in (torch.float32, torch.bfloat16)
        and x.dim() == 4
        and x.is_cpu
        and x.numel() > 0
        and (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last))
        and (residual is None or (residual.dtype == x.dtype and residual.shape == x.shape))
        and library() is not None
    )


def attempt(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    residual: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    *scheme: Any,
) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return y, mean and var, or None where the kernel is not `available` for x and residual.

    All that the kernel does, without ceremony; `scheme` has the values of a `Scheme`, and (C,) statistics are
    read where it says that they are given. `norms.core`, which is called at every layer, comes in here.
    """
    if needs_plain_operations():
        return None
    found = _through_glue()(x, weight, bias, gate, residual, mean, var, *scheme)
    if found is None and available(x, residual):
        found = _Norm.apply(x, weight, bias, gate, residual, mean, var, Scheme(*scheme))
    return found


def track(
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor,
    mean: Tensor,
    var: Tensor,
    share: float,
    correction: float,
) -> bool:
    """Move running estimates (C,) by share towards mean and correction * var, and count the batch, in place.

    Returns: whether it was done; if not, the caller has to.
    """
    has_values = type(running_mean) is type(mean) is Tensor  # unlike a FakeTensor
    module = _connected() if has_values and not needs_plain_operations() else None
    return module is not None and module.track(running_mean, running_var, batches, mean, var, share, correction)


def fused_norm(
    x_nchw: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    index_set: IndexSet,
    groups: int = 1,
    eps: float = 1e-5,
    residual: Tensor | None = None,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return relu?(norm(x) * weight_c + bias_c + residual?) and the statistics it used.

    Args:
        x_nchw: (N, C, H, W), such that `available(x_nchw, residual)`.
        weight: (C,) or None for 1.
        bias: (C,) or None for 0.
        index_set: what one mean runs over: "batch" (N,H,W), "instance" (H,W), "layer" (C,H,W) or "group"
            (C/G,H,W).
        groups: G, read by "group" only; must divide C.
        eps: added to the variance.
        residual: added before the ReLU; like x.
        relu: whether a ReLU follows.

    Returns:
        y with x's shape, type and layout; mean and biased variance, float32 without gradient, shaped (C,),
        (N, C), (N,) or (N, G), in the order above.

    Raises: ValueError if groups does not divide C.
    """
    N, C = x_nchw.shape[:2]
    if index_set == "group" and (groups < 1 or C % groups):
        raise ValueError(f"groups={groups} does not divide {C} channels")
    kind = BATCH if index_set == "batch" else GROUPS
    count = {"batch": 1, "instance": C, "layer": 1, "group": groups}[index_set]
    scheme = Scheme(kind, count, False, eps, relu)
    y, mean, var = _call(x_nchw, weight, bias, None, residual, None, None, scheme)
    return (y, mean.view(N), var.view(N)) if index_set == "layer" else (y, mean, var)


def fused_batch_instance(
    x_nchw: Tensor,
    gate: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
    residual: Tensor | None = None,
    relu: bool = False,
    running: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return relu?((gate_c * x_batch + (1 - gate_c) * x_instance) * weight_c + bias_c + residual?).

    Args are those of `fused_norm`; gate is (C,), 1 for batch norm and 0 for instance norm. With `running`, a
    mean and a variance (C,), the batch half uses those instead of the batch's own, as in evaluation.

    Returns: y, then the mean (C,) and biased variance (C,) of the batch half, without gradient.
    """
    mean, var = running or (None, None)
    scheme = Scheme(MIX, 1, running is not None, eps, relu)
    return _call(x_nchw, weight, bias, gate, residual, mean, var, scheme)


def fused_scale_shift(
    x_nchw: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
    residual: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Return relu?((x - mean_c) / sqrt(var_c + eps) * weight_c + bias_c + residual?).

    That is batch norm in evaluation: mean and var (C,) are given and get no gradient. The rest is as in
    `fused_norm`.
    """
    return _call(x_nchw, weight, bias, None, residual, mean, var, Scheme(BATCH, 1, True, eps, relu))[0]


def _call(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    residual: Tensor | None,
    mean: Tensor | None,
    var: Tensor | None,
    scheme: Scheme,
) -> tuple[Tensor, Tensor, Tensor]:
    if torch.compiler.is_compiling():
        return norm_op(x, weight, bias, gate, residual, mean, var, *scheme)[:3]
    found = _through_glue()(x, weight, bias, gate, residual, mean, var, *scheme)
    return _Norm.apply(x, weight, bias, gate, residual, mean, var, scheme) if found is None else found


@functools.cache
def _connected() -> Any:
    module = glue.glue("norm", "norm_forward", "norm_backward")
    if module is not None:
        module.second_derivative(_second_derivative)
    return module


@functools.cache
def _through_glue() -> Callable[..., Any]:
    return (lambda *_: None) if _connected() is None else _connected().norm


def _second_derivative(
    x: Tensor,
    y: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    mean: Tensor,
    var: Tensor,
    grad: Tensor,
    *scheme: Any,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of x, weight, bias, gate and residual with a graph of their own."""
    grad = grad if y is None else grad * (y > 0)
    inputs = (x, weight, bias, gate)
    needed = tuple(tensor is not None and tensor.requires_grad for tensor in inputs)
    return (*_plain_gradients(inputs, needed, (mean, var), Scheme(*scheme), grad), grad)


class _Norm(torch.autograd.Function):
    """The eager path without glue. What a second derivative needs is recomputed in plain operations."""

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
        y, mean, var, stats = run_forward(x, weight, bias, gate, residual, mean, var, scheme)
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
            gradients = _second_derivative(x, y, weight, bias, gate, mean, var, grad, *ctx.scheme)
            return (*gradients, None, None, None)
        dx, dweight, dbias, dgate, dresidual = run_backward(grad, x, y, weight, gate, stats, ctx.scheme, needed[4])
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


def _plain_gradients(
    inputs: tuple[Tensor | None, ...],
    needed: tuple[bool, ...],
    statistics: tuple[Tensor, Tensor],
    scheme: Scheme,
    grad: Tensor,
) -> list[Tensor | None]:
    y = plain_norm(*inputs, *statistics, scheme)  # type: ignore[arg-type,call-arg]
    wanted = [tensor for tensor, need in zip(inputs, needed, strict=False) if need and tensor is not None]
    found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
    return [next(found) if need else None for _, need in zip(inputs, needed, strict=False)]
