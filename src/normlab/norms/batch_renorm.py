"""Batch renormalization: batch norm that trains with nearly the statistics that it evaluates with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from normlab.errors import UserError
from normlab.kernels.planes import CENTRED
from normlab.norms.base import NormCard
from normlab.norms.core import normalize, scale_shift
from normlab.norms.planewise import by_planes, gain_and_bias, pool_moments
from normlab.norms.running import Momentum, OwnRuleNorm


class BatchRenorm(OwnRuleNorm):
    """Batch renormalization: corrects the batch's statistics towards the running ones, within limits.

    y = ((x - mean_c) / sqrt(var_c + eps) * r_c + d_c) * weight_c + bias_c               (Ioffe 2017, algorithm 1)
    r_c = clip(sigma_c / running_sigma_c, 1 / r_max, r_max)
    d_c = clip((mean_c - running_mean_c) / running_sigma_c, -d_max, d_max)

    No gradient passes through r and d. As in the paper the limits start at r_max 1 and d_max 0, which is batch
    norm, and then grow to 3 and 5. The paper does so over 5,000, 25,000 (d) and 40,000 (r) steps of
    long runs; here a fifth of that, counted by `num_batches_tracked`, is the default. The running estimates are batch
    norm's: of the unbiased variance with momentum 0.1, where the paper averages the standard deviation with 0.01.
    Without running estimates it is batch norm.

    Args:
        num_channels: C, the size of axis 1.
        r_max: the limit of r in the end, at least 1.
        d_max: the limit of d in the end, at least 0.
        warmup: steps of plain batch norm.
        r_steps: step at which r_max is reached.
        d_steps: step at which d_max is reached.
        eps: added to both variances.
        momentum: weight of the newest batch in the running estimates; None or "cumulative" averages all batches.
        affine: learn weight and bias per channel.
        track_running_stats: keep estimates for evaluation; without them evaluation, too, takes the batch's statistics.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: UserError if a limit or a step is out of range; ValueError in training if a channel has a single value,
        or if the input's shape does not fit.
    """

    own_rule = "its corrections"
    card = NormCard(
        name="batch_renorm",
        title="Batch renormalization",
        formula="y = ((x - mean_c) / sqrt(var_c + eps) * r_c + d_c) * weight_c + bias_c, statistics over (N, H, W)",
        latex=r"y_{nchw} = \gamma_c\left(\frac{x_{nchw} - \mu_c}{\sigma_c}\,r_c + d_c\right) + \beta_c,\quad"
        r"r_c = \frac{\sigma_c}{\bar\sigma_c},\ d_c = \frac{\mu_c - \bar\mu_c}{\bar\sigma_c}"
        r"\ \text{within limits, without gradient}",
        paper="Ioffe: Batch Renormalization: Towards Reducing Minibatch Dependence in Batch-Normalized Models. "
        "NeurIPS 2017. arXiv:1702.03275",
        year=2017,
        limits="Limits and their schedule are further choices; short runs end before they matter.",
        when_to_use="Batches too small or too uneven for batch norm, in long runs.",
    )

    def __init__(
        self,
        num_channels: int,
        *,
        r_max: float = 3.0,
        d_max: float = 5.0,
        warmup: int = 1000,
        r_steps: int = 8000,
        d_steps: int = 5000,
        eps: float = 1e-5,
        momentum: Momentum = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        if r_max < 1 or d_max < 0:
            raise UserError(f"batch renorm: r_max={r_max} and d_max={d_max} must be at least 1 and 0")
        if not 0 <= warmup <= min(r_steps, d_steps):
            raise UserError(
                f"batch renorm: warmup={warmup} must lie between 0 and the steps r_steps={r_steps}, d_steps={d_steps}"
            )
        self.r_max, self.d_max = r_max, d_max
        self.warmup, self.r_steps, self.d_steps = warmup, r_steps, d_steps
        self._start(num_channels, eps, affine)
        self._start_running(num_channels, momentum, track_running_stats)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?); in training also update the running estimates."""
        self._check_input(x)
        options: dict[str, Any] = self._options(residual, relu)
        if self._estimates is not None:
            return scale_shift(x, *self._estimates, **options)
        if x.numel() == 0:
            return self._transform_empty(x, **options)
        count = self._check_count(x)
        if not self.training or self.running_mean is None or self.running_var is None:
            return normalize(x, index_set="batch", **options)[0]
        # Those from before this batch, which `_track` moves.
        before = (self.running_mean.clone(), self.running_var.clone(), *self.limits())
        y, mean, var = by_planes(x, CENTRED, self._tables, (self.weight, self.bias, *before), residual, relu)
        self._track(mean.flatten(), var.flatten(), count)
        return y

    def _tables(
        self, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, *before: Tensor
    ) -> tuple[Tensor, ...]:
        gain, shift = gain_and_bias(weight, bias, mean)
        batch_mean, batch_var = pool_moments(mean, var, "batch")
        r, d = self._corrections(batch_mean, batch_var, *(value.to(mean.dtype) for value in before))
        scale = torch.rsqrt(batch_var + self.eps) * r * gain
        return scale, (mean - batch_mean) * scale + d * gain + shift, batch_mean, batch_var

    def limits(self) -> tuple[Tensor, Tensor]:
        """Return r_max and d_max at this step, as tensors without axes; before any estimate they are batch norm's."""
        assert self.num_batches_tracked is not None
        step = self.num_batches_tracked.to(torch.float32)
        r_share, d_share = (
            ((step - self.warmup + 1) / (end - self.warmup + 1)).clamp(0, 1) for end in (self.r_steps, self.d_steps)
        )
        has_estimates = step > 0
        return 1 + (self.r_max - 1) * r_share * has_estimates, self.d_max * d_share * has_estimates

    def _corrections(
        self, mean: Tensor, var: Tensor, running_mean: Tensor, running_var: Tensor, r_max: Tensor, d_max: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return r and d like the batch's mean, without gradient, from the estimates before this batch moves them."""
        deviation = torch.sqrt(running_var + self.eps)
        r = torch.sqrt(var.detach() + self.eps) / deviation
        d = (mean.detach() - running_mean) / deviation
        return r.clamp(1 / r_max, r_max), d.clamp(-d_max, d_max)

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        limits = f"r_max={self.r_max}, d_max={self.d_max}, warmup={self.warmup}"
        return f"{super().extra_repr()}, {limits}, r_steps={self.r_steps}, d_steps={self.d_steps}"
