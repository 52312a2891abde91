"""Batch normalization from scratch; tests compare it with `nn.BatchNorm2d` step by step."""

from __future__ import annotations

from torch import Tensor, nn

from normlab.norms.base import NormCard
from normlab.norms.core import normalize, scale_shift
from normlab.norms.running import Momentum, RunningNorm
from normlab.norms.synced import normalize_over_processes


class BatchNorm(RunningNorm):
    """Batch normalization: in training, statistics over (N, H, W); in evaluation, their averages.

    y = (x - mean_c) / sqrt(var_c + eps) * weight_c + bias_c        (Ioffe & Szegedy 2015, algorithms 1 and 2)

    The batch is normalised by its biased variance; the running estimate takes the unbiased one. State dicts
    load into `nn.BatchNorm2d` and back.

    Args:
        num_channels: C, the size of axis 1.
        eps: added to the variance.
        momentum: weight of the newest batch in the running estimates; None or "cumulative" averages all
            batches.
        affine: learn weight and bias per channel.
        track_running_stats: keep estimates for evaluation; without them evaluation, too, takes the batch's statistics.
        sync: where several processes train together (torch.distributed), take statistics over all of them.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: ValueError in training if a channel has a single value, or if the input's shape does not fit.
    """

    card = NormCard(
        name="batch",
        title="Batch normalization",
        formula="y = (x - mean_c) / sqrt(var_c + eps) * weight_c + bias_c, statistics over (N, H, W)",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw} - \mu_c}{\sqrt{\sigma_c^2 + \epsilon}} + \beta_c,\quad"
        r"\mu_c = \frac{1}{NHW}\sum_{n,h,w} x_{nchw}",
        paper="Ioffe and Szegedy: Batch Normalization: Accelerating Deep Network Training by Reducing "
        "Internal Covariate Shift. ICML 2015. arXiv:1502.03167",
        year=2015,
        limits="A sample's output depends on its batch mates; few values per channel make the statistics "
        "noisy; training and evaluation compute different functions.",
        when_to_use="Convolutional classifiers trained with batches of about 16 images or more.",
    )

    def __init__(
        self,
        num_channels: int,
        *,
        eps: float = 1e-5,
        momentum: Momentum = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        sync: bool = False,
    ) -> None:
        super().__init__()
        self.sync = sync
        self._start(num_channels, eps, affine)
        self._start_running(num_channels, momentum, track_running_stats)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?); in training also update the running estimates."""
        self._check_input(x)
        options = self._options(residual, relu)
        if (estimates := self._estimates) is not None:
            return scale_shift(x, *estimates, **options)
        if self._joins_others:
            y, *statistics = normalize_over_processes(x, **options)
            self._track(*statistics)
            return y
        if x.numel() == 0:
            return self._transform_empty(x, **options)
        count = self._check_count(x)
        y, mean, var = normalize(x, index_set="batch", **options)
        self._track(mean, var, count)
        return y

    def torch_equivalent(self) -> nn.Module:
        """Return an `nn.BatchNorm2d` in the same state."""
        return self._in_my_state(
            nn.BatchNorm2d(self.num_channels, self.eps, self.momentum, self.affine, self.track_running_stats)
        )
