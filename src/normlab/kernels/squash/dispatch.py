"""Norms without statistics, tanh or erf with a learned scale, their residual sum and ReLU in one visit: see squash.cpp.

A chain of torch calls writes a map at each step, and again at each step back.
"""

from __future__ import annotations

import functools
from typing import Any

import torch

from normlab.kernels.runtime import derivatives
from normlab.kernels.runtime.kernel import Kernel


class SquashKernel(Kernel):
    """`SQUASH.try_call(x, weight, bias, residual, alpha, shift, is_erf, relu)` -> y.

    y = relu?(f(alpha * x + shift) * weight_c + bias_c + residual?), f being erf or else tanh.

    Args of `try_call`:
        x: (N, C, H, W) float32 or bfloat16, contiguous as NCHW or channels_last, not empty.
        weight, bias: (C,) or None.
        residual: like x, or None.
        alpha: one number in a tensor; shift likewise, or None for 0.
        is_erf, relu: which function, and whether a ReLU comes last.
    """

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return torch.zeros(2, 16, 8, 8), None, None, None, torch.ones(1), None, False, True

    def prepare(self, module: Any) -> None:
        """Second derivatives are those of the plain formula."""
        module.reference("squash", functools.partial(derivatives.gradients, "squash"))


SQUASH = SquashKernel("norm without statistics", "squash", "squash", ("squash_forward", "squash_backward"))
