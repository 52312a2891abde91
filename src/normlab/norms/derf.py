"""Dynamic erf: squashes each value by itself with the error function, without any statistics."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from normlab.kernels.squash import SQUASH
from normlab.norms.base import Norm, NormCard
from normlab.norms.reference import affine, finish, wide


class DynamicErf(Norm):
    """Dynamic erf (Derf): y = erf(alpha * x + shift) * weight_c + bias_c.              (Chen et al. 2025, abstract)

    alpha and shift are one number each for all channels and start at 0.5 and 0. The paper replaces the norms
    of transformers, over tokens; here it stands where a residual network has its batch norms.

    Args:
        num_channels: C, the size of axis 1.
        alpha: what the learned scale starts at.
        affine: learn weight and bias per channel; alpha and shift are learned either way.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; computed in float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: TypeError if the input is not floating-point; ValueError if its shape does not fit.
    """

    card = NormCard(
        name="derf",
        title="Dynamic erf",
        formula="y = erf(alpha * x + shift) * weight_c + bias_c",
        latex=r"y_{nchw} = \gamma_c\,\mathrm{erf}(\alpha x_{nchw} + s) + \beta_c",
        paper="Chen, Lu, Zhu, Sun and Liu: Stronger Normalization-Free Transformers. 2025. arXiv:2512.10938",
        year=2025,
        limits="Does not scale its input: too small an input leaves it linear, too large a one saturates it.",
        when_to_use="Transformers in which the cost of statistics matters; on residual networks as an experiment.",
        statistics="none",
    )
    alpha: nn.Parameter
    shift: nn.Parameter

    def __init__(self, num_channels: int, *, alpha: float = 0.5, affine: bool = True) -> None:
        super().__init__()
        self._start(num_channels, 0.0, affine)
        self.initial_alpha = alpha
        self.alpha = nn.Parameter(torch.empty(1))
        self.shift = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_input(x)
        y = SQUASH.try_call(x, self.weight, self.bias, residual, self.alpha, self.shift, True, relu)
        if y is not None:
            return y
        wide_x = wide(x)
        squashed = torch.erf(self.alpha.to(wide_x.dtype) * wide_x + self.shift.to(wide_x.dtype))
        return finish(affine(squashed, self.weight, self.bias).to(x.dtype), residual, relu)

    def reset_parameters(self) -> None:
        """Set every parameter to its initial value: weight 1, bias 0, shift 0, and alpha as it was given."""
        super().reset_parameters()
        nn.init.constant_(self.alpha, self.initial_alpha)
        nn.init.zeros_(self.shift)

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return f"{self.num_channels}, alpha={self.initial_alpha}, affine={self.affine}"
