"""Normalization over the channels of each position, with its sum and ReLU in one visit of the map: see pixels.cpp.

torch's layer norm wants the channels last in a view of its own, and a root mean square norm is a chain of calls that
writes a map at each step.
"""

from __future__ import annotations

import functools
from typing import Any

import torch

from normlab.kernels.runtime import derivatives
from normlab.kernels.runtime.kernel import Kernel


class PixelsKernel(Kernel):
    """`PIXELS.try_call(x, weight, bias, residual, centred, eps, relu)` -> y.

    y = relu?((x - mean_nhw) / sqrt(mean_nhw((x - mean_nhw)^2) + eps) * weight_c + bias_c + residual?), means over C.

    Args of `try_call`:
        x: (N, C, H, W) float32 or bfloat16, contiguous as NCHW or channels_last, not empty.
        weight, bias: (C,) or None.
        residual: like x, or None.
        centred: whether the mean is subtracted; if not, it is root mean square norm.
        eps: above 0.
        relu: whether a ReLU comes last.
    """

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return torch.zeros(2, 16, 8, 8), None, None, None, True, 1e-5, True

    def prepare(self, module: Any) -> None:
        """Second derivatives are those of the plain formula."""
        module.reference("pixels", functools.partial(derivatives.gradients, "pixels"))


PIXELS = PixelsKernel("norm of each position", "pixels", "pixels", ("pixels_forward", "pixels_backward"))
