"""Normalization with its residual sum and ReLU in one visit of the map, forward and backward.

Where a chain of torch calls writes a map at each step, `norm.cpp` reads x once or twice and writes y once. For the
backward pass it keeps x, y where a ReLU needs its sign, and a small table of statistics. A program under torch.compile
or torch.export gets the plain operations, which those tools fuse themselves.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normlab.kernels.norm import gpu
from normlab.kernels.norm.plain import gradients_with_graph
from normlab.kernels.norm.scheme import BATCH
from normlab.kernels.runtime.kernel import Kernel


class NormKernel(Kernel):
    """`NORM.try_call(x, weight, bias, gate, residual, mean, var, kind, groups, given, eps, relu)` -> y, mean, var.

    y = relu?(norm(x) * weight_c + bias_c + residual?); with a gate (C,), norm(x) is gate_c * x_batch + (1 - gate_c) *
    x_instance. Mean and biased variance are those that were used, float32 without gradient: (C,), or (N, groups).

    Args of `try_call`:
        x: (N, C, H, W) float32 or bfloat16, contiguous as NCHW or channels_last, not empty.
        weight, bias, gate: (C,) or None; the gate is read by MIX.
        residual: like x, or None.
        mean, var: (C,), read where they are given.
        kind, groups, given, eps, relu: the values of a `Scheme`.
    """

    has_triton = True

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return torch.zeros(2, 16, 8, 8), *[None] * 6, BATCH, 1, False, 1e-5, True

    def prepare(self, module: Any) -> None:
        """Second derivatives are those of the plain formula."""
        module.second_derivative(gradients_with_graph)

    def run_on_gpu(self, *arguments: Any) -> tuple[Tensor, Tensor, Tensor] | None:
        """See `Kernel.run_on_gpu`."""
        return gpu.try_triton(*arguments)


class TrackKernel(Kernel):
    """`TRACK.try_call(running_mean, running_var, batches, mean, var, share, correction)` -> True where it was done.

    Moves running estimates (C,) by share towards mean and correction * var, and counts the batch, in place.
    """

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return torch.zeros(4), torch.ones(4), torch.tensor(0), torch.zeros(4), torch.ones(4), 0.1, 1.0


_SYMBOLS = ("norm_forward", "norm_backward")
NORM = NormKernel("norm", "norm", "norm", _SYMBOLS)
TRACK = TrackKernel("running statistics", "norm", "track", _SYMBOLS)
