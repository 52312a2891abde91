"""Torch's own batch norm behind the scheme interface; the one from scratch is compared with it."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from normlab.errors import UserError
from normlab.norms.base import Norm, refuse_channels
from normlab.norms.batch import BatchNorm
from normlab.norms.reference import finish
from normlab.norms.running import Momentum
from normlab.norms.synced import process_count


class TorchBatchNorm(nn.BatchNorm2d, Norm):  # type: ignore[misc]
    """`nn.BatchNorm2d` itself, with the declarations of a `Norm`.

    y = (x - mean_c) / sqrt(var_c + eps) * weight_c + bias_c        (Ioffe & Szegedy 2015, algorithms 1 and 2)

    Args:
        num_channels: C, the size of axis 1.
        eps: added to the variance.
        momentum: weight of the newest batch in the running estimates; None or "cumulative" averages all
            batches.
        affine: learn weight and bias per channel.
        track_running_stats: keep estimates for evaluation; without them evaluation, too, takes the batch's statistics.
        sync: where several processes train together, be `nn.SyncBatchNorm`, which torch has for GPUs only.
    Shape: (N, C, ...) -> (N, C, ...).
    Raises: ValueError in training if a channel has a single value, or if the input's shape does not fit.
    """

    pools_over = frozenset("NHW")
    batch_dependent = True
    running_state = True
    card = replace(
        BatchNorm.card,
        name="torch_batch",
        title="Batch normalization (torch's own)",
        paper=f"{BatchNorm.card.paper}. Implementation: torch.nn.BatchNorm2d",
        when_to_use="As the reference against which the batch norm from scratch is held.",
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
        share = None if momentum == "cumulative" else momentum
        refuse_channels(num_channels, type(self).__name__)
        super().__init__(num_channels, eps, share, affine, track_running_stats)
        self.num_channels, self.sync = num_channels, sync

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, ...) as torch's batch norms do."""
        if self.sync and self.training and process_count() > 1:
            return self._synced(input)
        return nn.BatchNorm2d.forward(self, input)

    def _check_input_dim(self, input: Tensor) -> None:
        self._check_input(input)

    def _synced(self, x: Tensor) -> Tensor:
        if x.is_cpu:
            raise UserError(
                "torch_batch: torch's SyncBatchNorm runs on GPUs only: take the norm `batch`, or leave --bn-sync out"
            )
        layer = nn.SyncBatchNorm(
            self.num_channels, self.eps, self.momentum, self.affine, self.track_running_stats, device=x.device
        )
        for name, value in (*self._parameters.items(), *self._buffers.items()):  # the very objects, not copies
            setattr(layer, name, value)
        synced: Tensor = layer(x)
        return synced

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?), each as torch does it."""
        return finish(self.forward(x), residual, relu)

    def torch_equivalent(self) -> nn.Module:
        """Return a plain `nn.BatchNorm2d` in the same state."""
        return self._in_my_state(
            nn.BatchNorm2d(self.num_channels, self.eps, self.momentum, self.affine, self.track_running_stats)
        )
