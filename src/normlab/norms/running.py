"""Running estimates of batch statistics, named and counted as `nn.BatchNorm2d` does, so that state dicts
interchange.

The estimate takes the unbiased variance, while the batch itself is normalised by the biased one (Ioffe &
Szegedy 2015, algorithm 2): mixing the two up is the classical error of batch norms written from scratch.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from normlab.kernels import norm as kernel
from normlab.norms.base import Norm
from normlab.norms.synced import process_count

Momentum = float | Literal["cumulative"] | None


class RunningNorm(Norm):
    """A norm that keeps per-channel averages of the batch mean and variance."""

    pools_over = frozenset("NHW")
    batch_dependent = True
    running_state = True
    momentum: float | None
    sync: bool = False  # whether several processes share their statistics
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def _start_running(self, num_channels: int, momentum: Momentum) -> None:
        self.momentum = None if momentum == "cumulative" else momentum
        self.register_buffer("running_mean", torch.zeros(num_channels))
        self.register_buffer("running_var", torch.ones(num_channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def reset_running_stats(self) -> None:
        """Forget all batches: mean 0, variance 1, count 0."""
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Put parameters and running statistics back to their start."""
        super().reset_parameters()
        self.reset_running_stats()

    def _check_count(self, x: Tensor) -> int:
        """Return how many values a channel has; one alone has no variance."""
        count = x.numel() // x.shape[1]
        if count < 2:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
        return count

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: int | Tensor) -> None:
        """Move the running estimates towards this batch; without momentum, average all batches."""
        correction = count / (count - 1)
        estimates = self.running_mean, self.running_var, self.num_batches_tracked
        if (
            self.momentum is not None
            and isinstance(correction, float)  # over several processes the count is on the device
            and kernel.track(*estimates, mean, var, self.momentum, correction)
        ):
            return
        self.num_batches_tracked.add_(1)
        share: Tensor | float
        if self.momentum is None:
            share = self.num_batches_tracked.to(self.running_mean.dtype).reciprocal()
        else:
            share = self.momentum
        unbiased = var * correction
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)

    @property
    def _joins_others(self) -> bool:
        """True while statistics are taken over several processes."""
        return self.sync and self.training and process_count() > 1

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return f"{super().extra_repr()}, momentum={self.momentum}{', sync=True' if self.sync else ''}"
