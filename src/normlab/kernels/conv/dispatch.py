"""3x3 convolutions of small maps on CPUs: bfloat16 under autocast with AVX512-BF16 (conv_bfloat16.h) or AMX
(conv_tiles.h), float32 with AVX2 or AVX-512, by stride 1 with a quarter to a half of the definition's products
(winograd.h), else by the definition (conv_float32.h).

In bfloat16 oneDNN multiplies as fast as AVX512-BF16 allows, but for a batch of 8 it spends as long again on looking its
primitives up, on packing the weights and on taking memory; autocast then casts the weights there and their gradient
back, each layer by itself. Here one call does it all. With AMX the products are a small part of the time: what counts
is how maps are read and written. In float32 with AVX2 this kernel takes by stride 1 a third to two thirds of oneDNN's
time, which multiplies by the definition; by stride 2 half of it for the gradient of the weights.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.kernels.runtime import build
from normlab.kernels.runtime.contest import ContestedKernel


class ConvKernel(ContestedKernel):
    """`CONV.try_call(x, weight, bias, stride)` -> the convolution of x, padded by one.

    It takes: x (N, C, H, W) in channels_last on a CPU, bfloat16 under bfloat16 autocast, float32 without autocast;
    weight (K, C, 3, 3) and bias (K,) float32; stride 1 or 2; K a multiple of 16, and C too (with AMX of 8, in float32
    of a vector), unless x needs no gradient (in bfloat16 with C of at most 4 and, without AMX, of at most 32 images).
    Neither is above 64; with AMX, and in float32 by stride 1, neither is above 256 if C is such a multiple. Sums and
    the weights' gradient are float32, the output is of x's type. In float32 the largest error is 1e-6 to 1e-5 of the
    largest output (by the definition 1e-7 to 1e-6).
    """

    def reason_against_cpu(self) -> str:
        """See `Kernel.reason_against_cpu`."""
        reason = super().reason_against_cpu()
        if reason:
            return reason
        return "" if self.types else "the CPU has neither AVX2 nor AVX-512"

    @functools.cached_property
    def types(self) -> frozenset[torch.dtype]:
        """The types of maps that the C++ implementation takes on this machine."""
        library = build.load(self.library)
        bits = 0 if library is None else int(library.conv_types())
        return frozenset(dtype for bit, dtype in ((1, torch.bfloat16), (2, torch.float32)) if bits & bit)

    def key(self, *arguments: Any) -> tuple[Any, ...] | None:
        """See `ContestedKernel.key`."""
        x, weight, bias, stride = arguments
        if x.numel() == 0 or (x.dtype == torch.bfloat16) != torch.is_autocast_enabled("cpu"):
            return None
        if self.reason_against_cpu() or x.dtype not in self.types:
            return None
        # A family names no layout: what the kernel refuses for its layout must not decide for what it takes.
        if not (x.is_contiguous(memory_format=torch.channels_last) and weight.is_contiguous()):
            return None
        with_gradient = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
        shapes = x.shape, x.stride(), x.dtype, weight.shape, bias is None, stride
        return shapes, x.requires_grad, with_gradient, torch.get_num_threads()

    def family(self, *arguments: Any) -> str:
        """See `ContestedKernel.family`: batches of up to a power of two images share an answer."""
        x, weight, _, stride = arguments
        key = self.key(*arguments)
        assert key is not None
        _, with_x, with_gradient, threads = key
        N, C, H, W = x.shape
        work = "inference" if not with_gradient else "training" if with_x else "training, first layer"
        sizes = f"{1 << (N - 1).bit_length()}x{C}x{H}x{W} to {len(weight)} stride {stride}"
        return f"{sizes} {str(x.dtype).removeprefix('torch.')} {work} {threads} thread(s)"

    def by_torch(self, *arguments: Any) -> Tensor:
        """See `ContestedKernel.by_torch`."""
        x, weight, bias, stride = arguments
        return F.conv2d(x, weight, bias, stride, padding=1)

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        x = torch.zeros(1, 16, 8, 8).contiguous(memory_format=torch.channels_last)
        return x, torch.zeros(16, 16, 3, 3), None, 1


_SYMBOLS = ("conv_forward", "conv_backward", "conv_float_forward", "conv_float_backward", "conv_types", "conv_lanes")
CONV = ConvKernel("convolution", "conv", "conv", _SYMBOLS)
