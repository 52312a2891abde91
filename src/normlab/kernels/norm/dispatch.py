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
from normlab.kernels.norm.scheme import BATCH, GROUPS
from normlab.kernels.norm.torch_norm import norm_by_torch, norm_output_by_torch
from normlab.kernels.runtime.contest import ContestedKernel
from normlab.kernels.runtime.kernel import Kernel

_KINDS = {BATCH: "batch", GROUPS: "groups"}


class NormKernel(ContestedKernel):
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

    def key(self, *arguments: Any) -> tuple[Any, ...] | None:
        """See `ContestedKernel.key`.

        torch mixes no norms; its group norm of channels-last maps takes E[x^2] - E[x]^2 for the variance, and of an
        empty batch it ends the process.
        """
        x, weight, bias, _, residual, _, _, kind, groups, given, _, relu = arguments
        if x.dim() != 4 or x.numel() == 0 or x.dtype not in (torch.float32, torch.bfloat16) or kind not in _KINDS:
            return None
        if weight is None or bias is None or not weight.dtype == bias.dtype == torch.float32:
            return None
        if kind == GROUPS and not x.is_contiguous():
            return None
        if residual is not None and (residual.dtype != x.dtype or residual.shape != x.shape):
            return None
        with_gradient = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
        added = residual is not None
        return x.shape, x.stride(), x.dtype, kind, groups, given, relu, added, with_gradient, torch.get_num_threads()

    def family(self, *arguments: Any) -> str:
        """See `ContestedKernel.family`: batches of up to a power of two images share an answer."""
        key = self.key(*arguments)
        assert key is not None
        (N, C, H, W), _, dtype, kind, groups, given, relu, added, with_gradient, threads = key
        words = [f"{_KINDS[kind]} norm" + (f" of {groups}" if kind == GROUPS else "") + " given" * given]
        words += ["+ sum"] * added + ["+ ReLU"] * relu
        words += [f"{1 << (N - 1).bit_length()}x{C}x{H}x{W}", str(dtype).removeprefix("torch.")]
        words += ["NCHW" if arguments[0].is_contiguous() else "NHWC", "training" if with_gradient else "inference"]
        return " ".join([*words, f"{threads} thread(s)"])

    def by_torch(self, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        """See `ContestedKernel.by_torch`."""
        return norm_by_torch(*arguments)

    def try_output(self, *arguments: Any) -> Tensor | None:
        """Return y of `try_call` alone: statistics that nobody reads cost torch's way half as much as the norm."""
        result = self._answer(norm_output_by_torch, arguments, "output alone")
        return result[0] if isinstance(result, tuple) else result


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
