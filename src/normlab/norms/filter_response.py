"""Filter response normalization: divides each map by the size of its values, and ends in a learned threshold."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from normlab.kernels.planes import FLOOR
from normlab.norms.base import Norm, NormCard
from normlab.norms.planewise import by_planes, gain_and_bias


class FilterResponseNorm(Norm):
    """Filter response normalization with its thresholded linear unit: one mean square over (H, W) of each map.

    y = max(x / sqrt(mean_nc(x^2) + eps) * weight_c + bias_c, tau_c)                       (Singh & Krishnan 2020)

    No mean is subtracted, so values can lie far from zero; the threshold tau, learned per channel and 0 at the start,
    stands in the place of the ReLU, which a network leaves out (`activates`). For maps of one position the paper
    learns eps, too: 1e-6 + |eps_c|, which starts at 1e-4.

    Args:
        num_channels: C, the size of axis 1.
        eps: added to the mean square.
        learn_eps: add |eps_c|, one learned value per channel, to eps: for layers whose maps have one position.
        affine: learn weight and bias per channel; tau is learned either way.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: ValueError if the input's shape does not fit.
    """

    pools_over = frozenset("HW")
    activates = True
    card = NormCard(
        name="filter_response",
        title="Filter response normalization",
        formula="y = max(x / sqrt(mean_nc(x^2) + eps) * weight_c + bias_c, tau_c), mean square over (H, W)",
        latex=r"y_{nchw} = \max\left(\gamma_c\,\frac{x_{nchw}}{\sqrt{\nu_{nc}^2 + \epsilon}} + \beta_c,\ "
        r"\tau_c\right),\quad\nu_{nc}^2 = \frac{1}{HW}\sum_{h,w} x_{nchw}^2",
        paper="Singh and Krishnan: Filter Response Normalization Layer: Eliminating Batch Dependence in the Training "
        "of Deep Neural Networks. CVPR 2020. arXiv:1911.09737",
        year=2020,
        limits="A map of one position is reduced to its sign; contains its activation, so it replaces norm and ReLU "
        "together.",
        when_to_use="Small batches in convolutional networks, where batch norm's place and its ReLU's can both be had.",
        statistics="activated",
    )
    threshold: nn.Parameter
    learned_eps: nn.Parameter | None

    def __init__(self, num_channels: int, *, eps: float = 1e-6, learn_eps: bool = False, affine: bool = True) -> None:
        super().__init__()
        self._start(num_channels, eps, affine)
        self.threshold = nn.Parameter(torch.empty(num_channels))
        self.register_parameter("learned_eps", nn.Parameter(torch.empty(num_channels)) if learn_eps else None)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_input(x)
        parameters = (self.weight, self.bias, self.threshold, self.learned_eps)
        return by_planes(x, FLOOR, self._tables, parameters, residual, relu)[0]

    def _tables(
        self,
        mean: Tensor,
        var: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        threshold: Tensor,
        learned_eps: Tensor | None,
    ) -> tuple[Tensor, ...]:
        gain, shift = gain_and_bias(weight, bias, mean)
        eps = self.eps if learned_eps is None else self.eps + learned_eps.to(mean.dtype).abs()
        return torch.rsqrt(var + mean.square() + eps) * gain, shift, threshold.to(mean.dtype)

    def reset_parameters(self) -> None:
        """Set every parameter to its initial value: weight 1, bias 0, threshold 0, learned eps 1e-4."""
        super().reset_parameters()
        nn.init.zeros_(self.threshold)
        if self.learned_eps is not None:
            nn.init.constant_(self.learned_eps, 1e-4)

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return super().extra_repr() + ("" if self.learned_eps is None else ", learn_eps=True")
