"""Switchable normalization: learned mixtures of the statistics of instance, layer and batch norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from normlab.kernels.planes import CENTRED
from normlab.norms.base import NormCard
from normlab.norms.planewise import by_planes, gain_and_bias, pool_moments
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
        parameters = (self.mean_logits, self.var_logits, self.weight, self.bias)
        if self._estimates is not None:
            return by_planes(x, CENTRED, self._tables, (*parameters, *self._estimates), residual, relu)[0]
        count = self._check_count(x)
        y, mean, var = by_planes(x, CENTRED, self._tables, (*parameters, None, None), residual, relu)
        self._track(mean.flatten(), var.flatten(), count)
        return y

    def _tables(
        self,
        mean: Tensor,
        var: Tensor,
        mean_logits: Tensor,
        var_logits: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
    ) -> tuple[Tensor, ...]:
        gain, shift = gain_and_bias(weight, bias, mean)
        by_mean, by_var = (logits.to(mean.dtype).softmax(0) for logits in (mean_logits, var_logits))
        layer_mean, layer_var = pool_moments(mean, var, "layer")
        if running_mean is None or running_var is None:
            batch_mean, batch_var = pool_moments(mean, var, "batch")
        else:
            batch_mean, batch_var = running_mean.to(mean.dtype), running_var.to(mean.dtype)
        # The plane's mean less the mixed one, without their common offset.
        offset = by_mean[1] * (mean - layer_mean) + by_mean[2] * (mean - batch_mean)
        scale = torch.rsqrt(by_var[0] * var + by_var[1] * layer_var + by_var[2] * batch_var + self.eps) * gain
        return scale, offset * scale + shift, batch_mean, batch_var

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
