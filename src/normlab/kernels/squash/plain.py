"""The kernel's formula in plain, differentiable operations: what a second derivative is taken of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from normlab.kernels.runtime.derivatives import register_reference


def plain_squash(
    x: Tensor, alpha: Tensor, shift: Tensor | None, weight: Tensor | None, bias: Tensor | None, *, is_erf: bool
) -> Tensor:
    """Return f(alpha * x + shift) * weight_c + bias_c in x's type, f being erf or tanh."""
    inner = alpha.float() * x.float()
    inner = inner if shift is None else inner + shift.float()
    y = torch.erf(inner) if is_erf else torch.tanh(inner)
    if weight is not None:
        y = y * weight.float()[:, None, None]
    return (y if bias is None else y + bias.float()[:, None, None]).to(x.dtype)


def _reference(inputs: Sequence[Tensor | None], is_erf: float) -> tuple[Tensor]:
    """What derivatives of x, alpha, shift, weight and bias are taken of."""
    x, alpha, shift, weight, bias = inputs
    assert x is not None
    assert alpha is not None
    return (plain_squash(x, alpha, shift, weight, bias, is_erf=bool(is_erf)),)


register_reference("squash", _reference)
