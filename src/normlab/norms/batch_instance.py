"""Batch-instance normalization: a learned gate per channel between batch and instance norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from normlab.kernels.runtime.guards import needs_plain_operations
from normlab.norms.base import NormCard
from normlab.norms.core import normalize_mixed
from normlab.norms.reference import planes
from normlab.norms.running import Momentum, OwnRuleNorm
from normlab.norms.synced import normalize_over_processes


class BatchInstanceNorm(OwnRuleNorm):
    """Batch-instance normalization: the gate decides per channel how much of an image's own style is removed.

    y = (gate_c * x_batch + (1 - gate_c) * x_instance) * weight_c + bias_c       (Nam & Kim 2018, eq. 3 and 4)

    The gate starts at 1 (batch norm) and is projected onto [0, 1] before every use and before it is saved, so
    no training loop can forget to. A projected gate keeps its gradient at the bounds and can come back. In
    evaluation the batch half uses running estimates and the instance half the image's own statistics.

    Args:
        num_channels: C, the size of axis 1.
        eps: added to both variances.
        momentum: weight of the newest batch in the running estimates; None or "cumulative" averages all
            batches.
        affine: learn weight and bias per channel; the gate is learned either way.
        track_running_stats: keep estimates for evaluation; without them evaluation, too, takes the batch's statistics.
        sync: where several processes train together, take the batch half's statistics over all of them.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: ValueError in training if a channel has a single value, or if the input's shape does not fit.
    """

    own_rule = "its gate"
    remedy = "build it with sync=True"
    card = NormCard(
        name="batch_instance",
        title="Batch-instance normalization",
        formula="y = (gate_c * x_batch + (1 - gate_c) * x_instance) * weight_c + bias_c, gate in [0, 1]",
        latex=r"y_{nchw} = \gamma_c\left(\rho_c\,\hat x^{B}_{nchw} + (1 - \rho_c)\,\hat x^{I}_{nchw}\right)"
        r" + \beta_c,\quad \rho_c \in [0, 1]",
        paper="Nam and Kim: Batch-Instance Normalization for Adaptively Style-Invariant Neural Networks. "
        "NeurIPS 2018. arXiv:1805.07925",
        year=2018,
        limits="Inherits batch norm's dependence on the batch; gates tend to settle at 0 or 1.",
        when_to_use="Classification where style (lighting, texture) varies and only partly matters.",
    )
    gate: nn.Parameter

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
        self.gate = nn.Parameter(torch.empty(num_channels))
        self._start_running(num_channels, momentum, track_running_stats)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?); in training also update the running estimates."""
        self._check_input(x)
        gate = self._projected_gate()
        options = self._options(residual, relu)
        if self._estimates is not None:
            return normalize_mixed(x, gate=gate, running=self._estimates, **options)[0]
        if self._joins_others:
            y, *statistics = normalize_over_processes(x, gate=gate, **options)
            self._track(*statistics)
            return y
        if x.numel() == 0:
            return self._transform_empty(x + 0 * planes(gate), **options)  # so that the gate has a gradient, of zeros
        count = self._check_count(x)
        y, mean, var = normalize_mixed(x, gate=gate, **options)
        self._track(mean, var, count)
        return y

    def project_gate(self) -> None:
        """Put the gate back into [0, 1], in place."""
        # Through .data: a layer used twice in one step must not find its saved gate marked as modified.
        # Projecting twice changes nothing, so the saved values stay right.
        self.gate.data.clamp_(0, 1)

    def gates_at_bounds(self) -> tuple[int, int]:
        """Return how many gates stand at 0 and how many at 1."""
        gate = self.gate.detach().clamp(0, 1)
        return int((gate == 0).sum()), int((gate == 1).sum())

    def parameter_options(self) -> dict[str, dict[str, float]]:
        """Return the optimiser's settings for the gate: ten times the learning rate, no weight decay."""
        return {"gate": {"lr_scale": 10.0, "weight_decay": 0.0}}

    def reset_parameters(self) -> None:
        """Set parameters and running statistics to their initial values: weight 1, bias 0, gate 1."""
        super().reset_parameters()
        nn.init.ones_(self.gate)

    def _projected_gate(self) -> Tensor:
        if torch.compiler.is_exporting():  # an exported program may not write its parameters
            return self.gate.clamp(0, 1)
        if needs_plain_operations() and not torch.compiler.is_compiling():  # nor may a transformed function
            return self.gate + (self.gate.clamp(0, 1) - self.gate).detach()
        if torch.compiler.is_compiling():
            with torch.no_grad():
                self.gate.clamp_(0, 1)
        else:
            self.project_gate()
        return self.gate

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.project_gate()
        super()._save_to_state_dict(*args, **kwargs)
