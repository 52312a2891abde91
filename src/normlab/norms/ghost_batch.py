"""Ghost batch normalization: batch norm over small parts of a large batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from normlab.errors import UserError
from normlab.kernels.planes import CENTRED
from normlab.norms.base import NormCard
from normlab.norms.core import normalize, scale_shift
from normlab.norms.planewise import by_planes, gain_and_bias
from normlab.norms.running import Momentum, OwnRuleNorm


class GhostBatchNorm(OwnRuleNorm):
    """Ghost batch normalization: in training, statistics over (H, W) and the samples of a virtual batch.

    y = (x - mean_bc) / sqrt(var_bc + eps) * weight_c + bias_c           (Hoffer et al. 2017, algorithm 1)

    A batch is cut, in its order, into the fewest virtual batches of at most `ghost_batch_size` samples, whose sizes
    differ by one at most, so that none is left with too few samples. The running estimates take the virtual batches one
    after the other, as in the paper; the paper's estimate of the standard deviation is one of the variance here.

    Args:
        num_channels: C, the size of axis 1.
        ghost_batch_size: samples of a virtual batch at most.
        eps: added to the variance.
        momentum: weight of the newest virtual batch in the running estimates; None or "cumulative" averages all.
        affine: learn weight and bias per channel.
        track_running_stats: keep estimates for evaluation; without them evaluation, too, takes the batch's statistics.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: UserError if ghost_batch_size is below 1; ValueError in training if a channel of a virtual batch has a
        single value, or if the input's shape does not fit.
    """

    own_rule = "its virtual batches"
    card = NormCard(
        name="ghost_batch",
        title="Ghost batch normalization",
        formula="y = (x - mean_bc) / sqrt(var_bc + eps) * weight_c + bias_c, "
        "statistics over (H, W) of a virtual batch b",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw} - \mu_{bc}}{\sqrt{\sigma_{bc}^2 + \epsilon}} + \beta_c,\quad"
        r"\mu_{bc} = \frac{1}{|b|HW}\sum_{n \in b,h,w} x_{nchw}",
        paper="Hoffer, Hubara and Soudry: Train longer, generalize better: closing the generalization gap in large "
        "batch training of neural networks. NeurIPS 2017. arXiv:1705.08741",
        year=2017,
        limits="Batch norm's limits; one more choice, the size of a virtual batch; smaller batches see batch norm.",
        when_to_use="Batches of hundreds of images or more, where batch norm's statistics have too little noise.",
    )

    def __init__(
        self,
        num_channels: int,
        *,
        ghost_batch_size: int = 32,
        eps: float = 1e-5,
        momentum: Momentum = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        if ghost_batch_size < 1:
            raise UserError(f"ghost batch norm: ghost_batch_size={ghost_batch_size} is no size, use 1 or more, e.g. 32")
        self.ghost_batch_size = ghost_batch_size
        self._start(num_channels, eps, affine)
        self._start_running(num_channels, momentum, track_running_stats)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?); in training also update the running estimates."""
        self._check_input(x)
        options = self._options(residual, relu)
        if self._estimates is not None:
            return scale_shift(x, *self._estimates, **options)
        if x.numel() == 0:
            return self._transform_empty(x, **options)
        count = math.ceil(x.shape[0] / self.ghost_batch_size)
        if count == 1:
            values = self._check_count(x)
            y, mean, var = normalize(x, index_set="batch", **options)
            self._track(mean, var, values)
            return y
        self._check_count(x[: x.shape[0] // count])  # the smallest
        y, *statistics = by_planes(x, CENTRED, self._tables, (self.weight, self.bias), residual, relu)
        for mean, var, size in zip(*statistics, self._sizes(x.shape[0]), strict=True):
            self._track(mean, var, size * x[0, 0].numel())
        return y

    def _tables(self, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, ...]:
        gain, shift = gain_and_bias(weight, bias, mean)
        sizes = mean.new_tensor(self._sizes(len(mean)))
        owner = torch.arange(len(sizes), device=mean.device).repeat_interleave(sizes.long(), output_size=len(mean))

        def average(values: Tensor) -> Tensor:
            return values.new_zeros(len(sizes), values.shape[1]).index_add(0, owner, values) / sizes[:, None]

        batch_mean = average(mean)
        offset = mean - batch_mean[owner]
        batch_var = average(var + offset.square())
        scale = (torch.rsqrt(batch_var + self.eps) * gain)[owner]
        return scale, offset * scale + shift, batch_mean, batch_var

    def _sizes(self, samples: int) -> list[int]:
        """Return how many samples each virtual batch has, as `Tensor.tensor_split` cuts them."""
        count = math.ceil(samples / self.ghost_batch_size)
        return [samples // count + (part < samples % count) for part in range(count)]

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return f"{super().extra_repr()}, ghost_batch_size={self.ghost_batch_size}"
