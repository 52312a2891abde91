"""3x3 convolutions of small bfloat16 maps on CPUs with AVX512-BF16, for use under autocast (conv.cpp).

oneDNN multiplies as fast, but for a batch of 8 it spends as long again on looking its primitives up, on packing the
weights and on taking memory; autocast then casts the weights there and their gradient back, each layer by itself. Here
one call does it all. CPUs with AMX multiply faster than this kernel can, so there torch's own convolution stays.
"""

from __future__ import annotations

from typing import Any

import torch

from normlab.kernels.runtime import build
from normlab.kernels.runtime.kernel import Kernel


class ConvKernel(Kernel):
    """`CONV.try_call(x, weight, bias, stride)` -> the convolution of x, padded by one.

    It takes, under bfloat16 autocast: x (N, C, H, W) bfloat16 in channels_last on a CPU; weight (K, C, 3, 3) and bias
    (K,) float32; stride 1 or 2; K a multiple of 16, and so is C unless x is of at most 32 images that need no gradient;
    neither above 64. Sums and the weights' gradient are float32, the output bfloat16.
    """

    def reason_against_cpu(self) -> str:
        """See `Kernel.reason_against_cpu`."""
        if torch.cpu.get_capabilities().get("amx_bf16"):
            return "torch's own convolution is faster on a CPU with AMX"
        reason = super().reason_against_cpu()
        if reason:
            return reason
        library = build.load(self.library)
        return "" if library is not None and library.conv_ready() else "the CPU has no AVX512-BF16"

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        x = torch.zeros(1, 16, 8, 8, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)
        return x, torch.zeros(16, 16, 3, 3), None, 1


CONV = ConvKernel("convolution", "conv", "conv", ("conv_forward", "conv_backward"))
