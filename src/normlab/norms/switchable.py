"""Switchable normalization: learned mixtures of the statistics of instance, layer and batch norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from normlab.norms.base import NormCard
from normlab.norms.reference import affine, finish, planes, wide
from normlab.norms.running import Momentum, OwnRuleNorm


class SwitchableNorm(OwnRuleNorm):
    """Switchable normalization: mean and variance are mixtures over instance, layer and batch norm.

    y = (x - sum_k w_k mean_k) / sqrt(sum_k v_k var_k + eps) * weight_c + bias_c         (Luo et al. 2018, eq. 3)

    w and v are softmaxes of three logits each, shared by all channels, which start equal. In evaluation the batch's
    statistics are running averages, with momentum 0.1; the paper measures them anew after training, which
    `normlab.norms.precise` does.

    Args:
        num_channels: C, the size of axis 1.
        eps: added to the mixed variance.
        momentum: weight of the newest batch in the running estimates; None or "cumulative" averages all batches.
        affine: learn weight and bias per channel; the mixtures are learned either way.
        track_running_stats: keep estimates for evaluation; without them evaluation, too, takes the batch's statistics.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: ValueError in training if a channel has a single value, or if the input's shape does not fit.
    """

    pools_over = frozenset("NCHW")
    own_rule = "its mixtures"
    card = NormCard(
        name="switchable",
        title="Switchable normalization",
        formula="y = (x - sum_k w_k mean_k) / sqrt(sum_k v_k var_k + eps) * weight_c + bias_c, "
        "k in instance, layer, batch",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw} - \sum_k w_k \mu_k}{\sqrt{\sum_k v_k \sigma_k^2 + \epsilon}} "
        r"+ \beta_c,\quad k \in \{\mathrm{in}, \mathrm{ln}, \mathrm{bn}\}",
        paper="Luo, Ren, Peng, Zhang and Li: Differentiable Learning-to-Normalize via Switchable Normalization. "
        "ICLR 2019. arXiv:1806.10779",
        year=2018,
        limits="Computes three sets of statistics; inherits batch norm's dependence on the batch.",
        when_to_use="Where it is open which scheme fits a layer, and the training may decide.",
        statistics="mixed",
    )
    mean_logits: nn.Parameter
    var_logits: nn.Parameter

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
        self.mean_logits, self.var_logits = (nn.Parameter(torch.empty(3)) for _ in range(2))
        self._start_running(num_channels, momentum, track_running_stats)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?); in training also update the running estimates."""
        self._check_input(x)
        if x.numel() == 0:
            logits = self.mean_logits.sum() + self.var_logits.sum()  # so that they have a gradient, of zeros
            return self._transform_empty(x + 0 * logits, **self._options(residual, relu))
        wide_x = wide(x)
        by_mean, by_var = (logits.to(wide_x.dtype).softmax(0) for logits in (self.mean_logits, self.var_logits))
        mean_nc = wide_x.mean((2, 3), keepdim=True)
        centred = wide_x - mean_nc
        var_nc = centred.square().mean((2, 3), keepdim=True)
        mean_n = mean_nc.mean(1, keepdim=True)
        var_n = (var_nc + (mean_nc - mean_n).square()).mean(1, keepdim=True)
        if self._estimates is not None:
            mean_c, var_c = (planes(estimate.to(wide_x.dtype))[None] for estimate in self._estimates)
        else:
            count = self._check_count(x)
            mean_c = mean_nc.mean(0, keepdim=True)
            var_c = (var_nc + (mean_nc - mean_c).square()).mean(0, keepdim=True)
            self._track(mean_c.detach().flatten(), var_c.detach().flatten(), count)
        # x - mixed mean, as (x - mean_nc) + (mean_nc - mixed mean): exact under a large common offset.
        offset = by_mean[1] * (mean_nc - mean_n) + by_mean[2] * (mean_nc - mean_c)
        var = by_var[0] * var_nc + by_var[1] * var_n + by_var[2] * var_c
        y = (centred + offset) * torch.rsqrt(var + self.eps)
        return finish(affine(y, self.weight, self.bias).to(x.dtype), residual, relu)

    def mixtures(self) -> dict[str, dict[str, float]]:
        """Return the share of each set of statistics in the mean and in the variance."""
        sets = ("instance", "layer", "batch")
        logits = {"mean": self.mean_logits, "variance": self.var_logits}
        return {of: dict(zip(sets, values.detach().softmax(0).tolist(), strict=True)) for of, values in logits.items()}

    def reset_parameters(self) -> None:
        """Set parameters and running statistics to their initial values: weight 1, bias 0, equal mixtures."""
        super().reset_parameters()
        nn.init.ones_(self.mean_logits)
        nn.init.ones_(self.var_logits)
