"""The kernel's formula in plain, differentiable operations: what a second derivative is taken of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from normlab.kernels.runtime.derivatives import register_reference


def plain_pixels(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, *, centred: bool) -> Tensor:
    """Return norm(x) * weight_c + bias_c in x's type, statistics over the channels of each position."""
    wide = x.float()
    deviation = wide - wide.mean(1, keepdim=True) if centred else wide
    y = deviation * torch.rsqrt(deviation.square().mean(1, keepdim=True) + eps)
    if weight is not None:
        y = y * weight.float()[:, None, None]
    return (y if bias is None else y + bias.float()[:, None, None]).to(x.dtype)


def _reference(inputs: Sequence[Tensor | None], signed_eps: float) -> tuple[Tensor]:
    """What derivatives of x, weight and bias are taken of; a negative eps, -0 too: without a mean."""
    x, weight, bias = inputs
    assert x is not None
    return (plain_pixels(x, weight, bias, abs(signed_eps), centred=math.copysign(1.0, signed_eps) > 0),)


register_reference("pixels", _reference)
