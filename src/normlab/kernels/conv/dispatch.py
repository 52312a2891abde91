"""3x3 convolutions of small bfloat16 maps on CPUs with AVX512-BF16, the way under autocast (conv.cpp).

oneDNN multiplies as fast, but for a batch of 8 it spends as long again on looking its primitives up, on packing the
weights and on taking memory; autocast then casts the weights there and their gradient back, each layer by itself. Here
one call does it all. CPUs with AMX multiply faster than this kernel can, so there torch's own convolution stays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime import build, glue


def attempt(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor | None:
    """Return the convolution of x, padded by one, or None where the kernel does not take it.

    It takes, under bfloat16 autocast: x (N, C, H, W) bfloat16 in channels_last on a CPU; weight (K, C, 3, 3) and bias
    (K,) float32; stride 1 or 2; K a multiple of 16, and so is C unless x is of at most 32 images that need no gradient;
    neither above 64. Sums and the weights' gradient are float32, the output bfloat16. Not under torch.compile, nor in
    torch.func transforms.
    """
    if torch.compiler.is_compiling():
        return None
    found: Tensor | None = _convolution()(x, weight, bias, stride)
    return found


def available() -> bool:
    """Return whether this machine's instructions suit the kernel, and it can be had; builds it at the first call."""
    if torch.cpu.get_capabilities().get("amx_bf16"):
        return False
    library = build.load("conv")
    return library is not None and bool(library.conv_ready())


@functools.cache
def _convolution() -> Callable[..., Any]:
    module = glue.glue("conv", "conv_forward", "conv_backward") if available() else None
    return (lambda *_: None) if module is None else module.conv
