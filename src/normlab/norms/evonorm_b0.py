"""EvoNorm-B0: a norm and its activation in one formula, found by search; with statistics of the batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from normlab.norms.base import NormCard
from normlab.norms.reference import affine, finish, planes, wide
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
        wide_x = wide(x)
        mean_nc = wide_x.mean((2, 3), keepdim=True)
        var_nc = (wide_x - mean_nc).square().mean((2, 3), keepdim=True)
        if self._estimates is not None:
            var_c = planes(self._estimates[1].to(wide_x.dtype))
        else:
            count = self._check_count(x)
            mean_c = mean_nc.mean(0)
            var_c = (var_nc + (mean_nc - mean_c).square()).mean(0)
            self._track(mean_c.detach().flatten(), var_c.detach().flatten(), count)
        line = planes(self.slope.to(wide_x.dtype)) * wide_x + torch.sqrt(var_nc + self.eps)
        y = wide_x / torch.maximum(torch.sqrt(var_c + self.eps), line)
        return finish(affine(y, self.weight, self.bias).to(x.dtype), residual, relu)

    def reset_parameters(self) -> None:
        """Set parameters and running statistics to their initial values: weight 1, bias 0, slope 1."""
        super().reset_parameters()
        nn.init.ones_(self.slope)
