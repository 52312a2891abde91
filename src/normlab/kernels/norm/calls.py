"""The calls into `norm.cpp`: tensors in, tensors out, no autograd.

Both calls describe every scheme by the same arguments, `Scheme`, so that the autograd function, the
registered operators and the double backward pass cannot drift apart.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normlab.kernels.runtime import gpu
from normlab.kernels.runtime.build import load

BATCH, GROUPS, MIX = range(3)  # as in norm.cpp
_POINTERS, _INTEGERS = ctypes.c_void_p, ctypes.c_int64


class Scheme(NamedTuple):
    """Which planes share statistics, and what follows the norm.

    Attributes:
        kind: BATCH, GROUPS (of channels in each sample) or MIX (of batch and instance norm by a gate).
        groups: read by GROUPS; 1 is layer norm, C instance norm.
        given: the batch's statistics are arguments (evaluation), not taken from x.
        eps: added to the variance.
        relu: whether a ReLU follows.
    """

    kind: int
    groups: int
    given: bool
    eps: float
    relu: bool


@functools.cache
def library() -> Any:
    """Return the loaded kernel with its signatures declared, or None where it cannot be had."""
    loaded = load("norm")
    if loaded is not None:
        sizes, flags = [_INTEGERS] * 3, [ctypes.c_int]
        loaded.norm_forward.argtypes = [*sizes, *flags * 6, ctypes.c_double, *[_POINTERS] * 9]
        loaded.norm_backward.argtypes = [*sizes, *flags * 5, *[_POINTERS] * 11]
        loaded.norm_forward.restype = loaded.norm_backward.restype = None
    return loaded


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
    """Return y, mean, var and the table of statistics that the backward pass reads.

    x (N, C, H, W) dense, float32 or bfloat16; weight, bias, gate, mean and var (C,); residual like x.
    """
    if x.is_cuda:
        return gpu.twin("norm").run_forward(x, weight, bias, gate, residual, mean, var, scheme)
    N, C, H, W = x.shape
    nhwc = _is_nhwc(x)
    weight, bias, gate = _row(weight), _row(bias), _row(gate)
    residual = None if residual is None else _like(residual, nhwc)
    if scheme.given:
        assert mean is not None
        assert var is not None
        mean, var = _row(mean), _row(var)
    else:
        shape = (N, scheme.groups) if scheme.kind == GROUPS else (C,)
        mean, var = torch.empty(shape), torch.empty(shape)
    y, stats = torch.empty_like(x), x.new_empty(stats_shape(N, C, scheme.kind, scheme.groups), dtype=torch.float64)
    library().norm_forward(
        N,
        C,
        H * W,
        x.dtype == torch.bfloat16,
        nhwc,
        scheme.kind,
        scheme.groups,
        scheme.given,
        scheme.relu,
        scheme.eps,
        x.data_ptr(),
        _pointer(residual),
        _pointer(weight),
        _pointer(bias),
        _pointer(gate),
        y.data_ptr(),
        stats.data_ptr(),
        _pointer(mean),
        _pointer(var),
    )
    return y, mean, var, stats  # type: ignore[return-value]


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
    if x.is_cuda:
        return gpu.twin("norm").run_backward(grad, x, y, weight, gate, stats, scheme, with_residual)
    N, C, H, W = x.shape
    nhwc = _is_nhwc(x)
    grad, weight, gate = _like(grad, nhwc), _row(weight), _row(gate)
    dx, dweight, dbias = torch.empty_like(x), torch.empty(C), torch.empty(C)
    dgate = torch.empty(C) if scheme.kind == MIX else None
    dresidual = torch.empty_like(x) if with_residual and scheme.relu else None
    library().norm_backward(
        N,
        C,
        H * W,
        x.dtype == torch.bfloat16,
        nhwc,
        scheme.kind,
        scheme.groups,
        scheme.given,
        x.data_ptr(),
        grad.data_ptr(),
        _pointer(y if scheme.relu else None),
        _pointer(weight),
        _pointer(gate),
        stats.data_ptr(),
        dx.data_ptr(),
        _pointer(dresidual),
        dweight.data_ptr(),
        dbias.data_ptr(),
        _pointer(dgate),
    )
    return dx, dweight, dbias, dgate, dresidual


def stats_shape(N: int, C: int, kind: int, groups: int) -> tuple[int, int, int]:
    """Return the shape of the statistics' table: rows of means and reciprocal deviations, (C,) each or (groups,)."""
    return ((1, N, 1 + N)[kind], 2, groups if kind == GROUPS else C)


def _is_nhwc(x: Tensor) -> bool:
    # A 1x1 map lies both ways; as NHWC it is one long row a sample.
    return not x.is_contiguous() or x.shape[2] * x.shape[3] == 1


def _like(x: Tensor, nhwc: bool) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last if nhwc else torch.contiguous_format)


def _row(values: Tensor | None) -> Tensor | None:
    if values is None or (values.dtype == torch.float32 and values.is_contiguous()):
        return values
    return values.detach().float().contiguous()


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
