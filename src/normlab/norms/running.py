"""Running estimates of batch statistics, named and counted as `nn.BatchNorm2d` does, so that state dicts
interchange.

The estimate takes the unbiased variance, while the batch itself is normalised by the biased one (Ioffe &
Szegedy 2015, algorithm 2): mixing the two up is the classical error of batch norms written from scratch.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from normlab.kernels.norm import TRACK
from normlab.norms.base import Norm
from normlab.norms.core import scale_shift
from normlab.norms.synced import process_count

Momentum = float | Literal["cumulative"] | None


class RunningNorm(Norm, _BatchNorm):  # type: ignore[misc]
    """A norm that keeps per-channel averages of the batch mean and variance.

    It is one of torch's `_BatchNorm`, the class that `torch.optim.swa_utils.update_bn`,
    `torch.func.replace_all_batch_norm_modules_` and other tools look for, with the attributes that they read and
    set. State dicts from before `num_batches_tracked` load as torch's do.
    """

    pools_over = frozenset("NHW")
    batch_dependent = True
    running_state = True
    momentum: float | None
    sync: bool = False  # whether several processes share their statistics
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self) -> None:
        nn.Module.__init__(self)  # not _BatchNorm's, which would make the parameters too

    def _start_running(self, num_channels: int, momentum: Momentum, track_running_stats: bool) -> None:
        self.momentum = None if momentum == "cumulative" else momentum
        self.track_running_stats = track_running_stats
        start = (torch.zeros(num_channels), torch.ones(num_channels), torch.tensor(0, dtype=torch.long))
        for name, value in zip(("running_mean", "running_var", "num_batches_tracked"), start, strict=True):
            self.register_buffer(name, value if track_running_stats else None)

    def reset_running_stats(self) -> None:
        """Forget all batches: mean 0, variance 1, count 0."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    @property
    def _estimates(self) -> tuple[Tensor, Tensor] | None:
        """Mean and variance to normalise by instead of the batch's own: in evaluation, where they are kept."""
        if self.training:
            return None
        mean, var = self._buffers["running_mean"], self._buffers["running_var"]
        return None if mean is None or var is None else (mean, var)

    def reset_parameters(self) -> None:
        """Put parameters and running statistics back to their start."""
        super().reset_parameters()
        self.reset_running_stats()

    def _transform_empty(self, x: Tensor, **options: Any) -> Tensor:
        """Do with a batch without values what torch does: count it, and move no estimate."""
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        statistic = x.new_ones(self.num_channels)
        return scale_shift(x, statistic, statistic, **options)

    def _check_count(self, x: Tensor) -> int:
        """Return how many values a channel has; one alone has no variance."""
        count = x.numel() // x.shape[1]
        if count == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
        return count

    def _track(self, mean: Tensor, var: Tensor, count: int | Tensor) -> None:
        """Move the running estimates, if there are any, towards this batch; without momentum, average all batches."""
        if not self.training:
            return
        own = self._buffers  # as in `_options`
        running_mean, running_var, batches = own["running_mean"], own["running_var"], own["num_batches_tracked"]
        if running_mean is None or running_var is None or batches is None:
            return
        correction = count / (count - 1)
        if (
            self.momentum is None
            or not isinstance(correction, float)  # over several processes the count is on the device
            or not TRACK.try_call(running_mean, running_var, batches, mean, var, self.momentum, correction)
        ):
            self._track_plainly(running_mean, running_var, batches, mean, var * correction)

    @torch.no_grad()
    def _track_plainly(
        self, running_mean: Tensor, running_var: Tensor, batches: Tensor, mean: Tensor, unbiased: Tensor
    ) -> None:
        batches.add_(1)
        share = batches.to(running_mean.dtype).reciprocal() if self.momentum is None else self.momentum
        running_mean.lerp_(mean.to(running_mean.dtype), share)
        running_var.lerp_(unbiased.to(running_var.dtype), share)

    @property
    def _joins_others(self) -> bool:
        """True while statistics are taken over several processes."""
        return self.sync and self.training and process_count() > 1

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        tracking = "" if self.track_running_stats else ", track_running_stats=False"
        sync = ", sync=True" if self.sync else ""
        return f"{super().extra_repr()}, momentum={self.momentum}{tracking}{sync}"


class OwnRuleNorm(RunningNorm):
    """A running norm that computes something else than batch norm, and that no tool may turn into one.

    What rebuilds a batch norm from its settings, as `nn.SyncBatchNorm.convert_sync_batchnorm` does, asks for
    `num_features` first, and would leave the scheme's own rule behind without a word. So there is none.

    Attributes:
        own_rule: what would be lost, in words.
        remedy: what to do instead, in words.
    """

    own_rule: ClassVar[str]
    remedy: ClassVar[str] = "leave this layer out of the conversion"

    def _start_running(self, num_channels: int, momentum: Momentum, track_running_stats: bool) -> None:
        super()._start_running(num_channels, momentum, track_running_stats)
        del self.num_features

    def __getattr__(self, name: str) -> Any:
        if name == "num_features":
            raise AttributeError(
                f"{type(self).__name__} has no num_features, as a batch norm made from it would lose {self.own_rule}; "
                f"read num_channels, and to share statistics over processes {self.remedy}"
            )
        return super().__getattr__(name)
