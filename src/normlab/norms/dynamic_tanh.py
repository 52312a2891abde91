"""Dynamic tanh: squashes each value by itself, without any statistics."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from normlab.kernels.squash import SQUASH
from normlab.norms.base import Norm, NormCard
from normlab.norms.reference import affine, finish, wide


class DynamicTanh(Norm):
    """Dynamic tanh: y = tanh(alpha * x) * weight_c + bias_c, with one alpha for all channels.  (Zhu et al. 2025, eq. 3)

    Layer norms in trained transformers act like a tanh on large values; this layer is that function. The paper replaces
    the layer norms of transformers, over tokens; here it stands where a residual network has its batch norms.

    Args:
        num_channels: C, the size of axis 1.
        alpha: what the learned scale starts at.
        affine: learn weight and bias per channel; alpha is learned either way.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; computed in float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: TypeError if the input is not floating-point; ValueError if its shape does not fit.
    """

    card = NormCard(
        name="dynamic_tanh",
        title="Dynamic tanh",
        formula="y = tanh(alpha * x) * weight_c + bias_c",
        latex=r"y_{nchw} = \gamma_c \tanh(\alpha x_{nchw}) + \beta_c",
        paper="Zhu, Chen, He, LeCun and Liu: Transformers without Normalization. CVPR 2025. arXiv:2503.10622",
        year=2025,
        limits="Does not scale its input: too small an input leaves it linear, too large a one saturates it.",
        when_to_use="Transformers in which the cost of statistics matters; on residual networks as an experiment.",
        statistics="none",
    )
    alpha: nn.Parameter

    def __init__(self, num_channels: int, *, alpha: float = 0.5, affine: bool = True) -> None:
        super().__init__()
        self._start(num_channels, 0.0, affine)
        self.initial_alpha = alpha
        self.alpha = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_input(x)
        y = SQUASH.try_call(x, self.weight, self.bias, residual, self.alpha, None, False, relu)
        if y is not None:
            return y
        wide_x = wide(x)
        squashed = torch.tanh(self.alpha.to(wide_x.dtype) * wide_x)
        return finish(affine(squashed, self.weight, self.bias).to(x.dtype), residual, relu)

    def reset_parameters(self) -> None:
        """Set every parameter to its initial value: weight 1, bias 0, and alpha as it was given."""
        super().reset_parameters()
        nn.init.constant_(self.alpha, self.initial_alpha)

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return f"{self.num_channels}, alpha={self.initial_alpha}, affine={self.affine}"
