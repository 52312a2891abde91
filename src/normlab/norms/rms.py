"""Root mean square normalization: divides each sample by the size of its values, and keeps their mean."""

from __future__ import annotations

import torch
from torch import Tensor

from normlab.kernels.planes import AFFINE
from normlab.norms.base import Norm, NormCard
from normlab.norms.planewise import by_planes, gain_and_bias


class RMSNorm(Norm):
    """Root mean square normalization: one mean square over (C, H, W) of each sample; no mean is subtracted.

    y = x / sqrt(mean_n(x^2) + eps) * weight_c + bias_c                    (Zhang & Sennrich 2019, eq. 4)

    The paper normalises vectors; on maps the whole sample is the vector, as in `layer`, and gain and bias are per
    channel. The paper has no eps.

    Args:
        num_channels: C, the size of axis 1.
        eps: added to the mean square.
        affine: learn weight and bias per channel.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: ValueError if the input's shape does not fit.
    """

    pools_over = frozenset("CHW")
    card = NormCard(
        name="rms",
        title="Root mean square normalization",
        formula="y = x / sqrt(mean_n(x^2) + eps) * weight_c + bias_c, mean square over (C, H, W)",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw}}{\sqrt{\overline{x^2}_n + \epsilon}} + \beta_c,\quad"
        r"\overline{x^2}_n = \frac{1}{CHW}\sum_{c,h,w} x_{nchw}^2",
        paper="Zhang and Sennrich: Root Mean Square Layer Normalization. NeurIPS 2019. arXiv:1910.07467",
        year=2019,
        limits="A large common offset stays in the output and dwarfs what varies.",
        when_to_use="Transformers, where it replaces layer norm with one statistic fewer.",
        statistics="mean square",
    )

    def __init__(self, num_channels: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self._start(num_channels, eps, affine)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_input(x)
        return by_planes(x, AFFINE, self._tables, (self.weight, self.bias), residual, relu)[0]

    def _tables(self, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        gain, shift = gain_and_bias(weight, bias, mean)
        square = (var + mean.square()).mean(1, keepdim=True)
        return torch.rsqrt(square + self.eps) * gain, shift
