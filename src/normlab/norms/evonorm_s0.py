"""EvoNorm-S0: a norm and its activation in one formula, found by search; of each sample alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from normlab.kernels.planes import SWISH
from normlab.norms.base import Norm, NormCard
from normlab.norms.group import count_groups
from normlab.norms.planewise import by_planes, gain_and_bias, pool_moments


class EvoNormS0(Norm):
    """EvoNorm-S0: x * sigmoid(v * x) over the deviation of the channel group, in the place of norm and ReLU together.

    y = x * sigmoid(v_c * x) / sqrt(var_ng + eps) * weight_c + bias_c                           (Liu et al. 2020, S0)

    The numerator is a Swish with a learned slope v per channel, 1 at the start; the variance is group norm's, over
    (C/G, H, W), but no mean is subtracted.

    Args:
        num_channels: C, the size of axis 1.
        groups: G; must divide C. The paper's 32 does not fit 16 channels, so without `groups` and
            `channels_per_group` G is the largest divisor of C up to 4, as in group norm.
        channels_per_group: C/G, instead of `groups`.
        eps: added to the variance.
        affine: learn weight and bias per channel; v is learned either way.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: UserError naming C and the nearest divisors if C cannot be cut so, or if both settings are given;
        ValueError if the input's shape does not fit.
    """

    pools_over = frozenset("CHW")
    activates = True
    card = NormCard(
        name="evonorm_s0",
        title="EvoNorm-S0",
        formula="y = x * sigmoid(v_c * x) / sqrt(var_ng + eps) * weight_c + bias_c, variance over (C/G, H, W)",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw}\,\mathrm{sigmoid}(v_c x_{nchw})}"
        r"{\sqrt{\sigma_{ng}^2 + \epsilon}} + \beta_c",
        paper="Liu, Brock, Simonyan and Le: Evolving Normalization-Activation Layers. NeurIPS 2020. arXiv:2004.02967",
        year=2020,
        limits="Not invariant to the scale of its input, which the sigmoid sees; contains its activation, so it "
        "replaces norm and ReLU together.",
        when_to_use="Small batches in convolutional networks, where batch norm's place and its ReLU's can both be had.",
        statistics="activated",
    )
    slope: nn.Parameter

    def __init__(
        self,
        num_channels: int,
        *,
        groups: int | None = None,
        channels_per_group: int | None = None,
        eps: float = 1e-5,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.groups = self.channel_groups = count_groups(num_channels, groups, channels_per_group, "EvoNorm-S0")
        self._start(num_channels, eps, affine)
        self.slope = nn.Parameter(torch.empty(num_channels))
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_input(x)
        return by_planes(x, SWISH, self._tables, (self.weight, self.bias, self.slope), residual, relu)[0]

    def _tables(
        self, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, slope: Tensor
    ) -> tuple[Tensor, ...]:
        gain, shift = gain_and_bias(weight, bias, mean)
        _, group_var = pool_moments(mean, var, "group", self.groups)
        return torch.rsqrt(group_var + self.eps) * gain, shift, slope.to(mean.dtype)

    def reset_parameters(self) -> None:
        """Set every parameter to its initial value: weight 1, bias 0, slope 1."""
        super().reset_parameters()
        nn.init.ones_(self.slope)

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return f"{super().extra_repr()}, groups={self.groups}"
