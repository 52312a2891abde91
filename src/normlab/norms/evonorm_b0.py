"""EvoNorm-B0: a norm and its activation in one formula, found by search; with statistics of the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from normlab.kernels.planes import QUOTIENT
from normlab.norms.base import NormCard
from normlab.norms.planewise import by_planes, gain_and_bias, pool_moments
from normlab.norms.running import Momentum, OwnRuleNorm


class EvoNormB0(OwnRuleNorm):
    """EvoNorm-B0: x over the larger of the batch's deviation and a line in x, in the place of norm and ReLU together.

    y = x / max(sqrt(var_c + eps), v_c * x + sqrt(var_nc + eps)) * weight_c + bias_c            (Liu et al. 2020, B0)

    var_c is batch norm's variance, over (N, H, W), and var_nc that of the map; no mean is subtracted. The maximum is
    what makes it an activation. v is learned per channel, 1 at the start. In evaluation var_c is the running estimate,
    of the unbiased variance as in `batch`; that of the mean is kept beside it for the tools that expect a batch norm's.

    Args:
        num_channels: C, the size of axis 1.
        eps: added to both variances.
        momentum: weight of the newest batch in the running estimates; None or "cumulative" averages all batches.
        affine: learn weight and bias per channel; v is learned either way.
        track_running_stats: keep estimates for evaluation; without them evaluation, too, takes the batch's statistics.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: ValueError in training if a channel has a single value, or if the input's shape does not fit.
    """

    own_rule = "its activation"
    activates = True
    card = NormCard(
        name="evonorm_b0",
        title="EvoNorm-B0",
        formula="y = x / max(sqrt(var_c + eps), v_c * x + sqrt(var_nc + eps)) * weight_c + bias_c, "
        "var_c over (N, H, W), var_nc over (H, W)",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw}}{\max\left(\sqrt{\sigma_c^2 + \epsilon},\ "
        r"v_c x_{nchw} + \sqrt{\sigma_{nc}^2 + \epsilon}\right)} + \beta_c",
        paper="Liu, Brock, Simonyan and Le: Evolving Normalization-Activation Layers. NeurIPS 2020. arXiv:2004.02967",
        year=2020,
        limits="Batch norm's limits at small batches; contains its activation, so it replaces norm and ReLU together.",
        when_to_use="Convolutional networks with large batches, as an alternative to batch norm and ReLU together.",
        statistics="activated",
    )
    slope: nn.Parameter

    def __init__(
        self,
        num_channels: int,
        *,
        eps: float = 1e-5,
        momentum: Momentum = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        self._start(num_channels, eps, affine)
        self.slope = nn.Parameter(torch.empty(num_channels))
        self._start_running(num_channels, momentum, track_running_stats)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?); in training also update the running estimates."""
        self._check_input(x)
        if x.numel() == 0:  # the slope has a gradient, of zeros
            return self._transform_empty(x + 0 * self.slope.sum(), **self._options(residual, relu))
        parameters = (self.weight, self.bias, self.slope)
        if self._estimates is not None:
            return by_planes(x, QUOTIENT, self._tables, (*parameters, self._estimates[1]), residual, relu)[0]
        count = self._check_count(x)
        y, mean, var = by_planes(x, QUOTIENT, self._tables, (*parameters, None), residual, relu)
        self._track(mean.flatten(), var.flatten(), count)
        return y

    def _tables(
        self,
        mean: Tensor,
        var: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        slope: Tensor,
        running_var: Tensor | None,
    ) -> tuple[Tensor, ...]:
        gain, shift = gain_and_bias(weight, bias, mean)
        batch_mean, batch_var = pool_moments(mean, var, "batch")
        if running_var is not None:
            batch_var = running_var.to(mean.dtype)
        flat, lift = (torch.sqrt(square + self.eps) for square in (batch_var, var))
        return gain, shift, flat, slope.to(mean.dtype), lift, batch_mean, batch_var

    def reset_parameters(self) -> None:
        """Set parameters and running statistics to their initial values: weight 1, bias 0, slope 1."""
        super().reset_parameters()
        nn.init.ones_(self.slope)
