"""Layer normalization on feature maps: over the whole sample, or over the channels at each position."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from normlab.errors import UserError
from normlab.norms.base import Norm, NormCard
from normlab.norms.core import normalized


class LayerNorm(Norm):
    """Layer normalization: statistics over (C, H, W) of each sample, weight and bias per channel.

    y = (x - mean_n) / sqrt(var_n + eps) * weight_c + bias_c                           (Ba et al. 2016, eq. 3)

    On maps the name has two meanings. `over="sample"` is the paper's, group norm of one group.
    `over="channel"` pools over C at each position, as ConvNeXt (Liu et al. 2022) and others do, often with
    eps 1e-6.

    Args:
        num_channels: C, the size of axis 1.
        over: "sample" for (C, H, W), "channel" for (C) at each position.
        eps: added to the variance.
        affine: learn weight and bias per channel.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: UserError if `over` is neither; ValueError if the input's shape does not fit.
    """

    pools_over = frozenset("CHW")
    card = NormCard(
        name="layer",
        title="Layer normalization",
        formula="y = (x - mean_n) / sqrt(var_n + eps) * weight_c + bias_c, statistics over (C, H, W)",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw} - \mu_n}{\sqrt{\sigma_n^2 + \epsilon}} + \beta_c,\quad"
        r"\mu_n = \frac{1}{CHW}\sum_{c,h,w} x_{nchw}",
        paper="Ba, Kiros and Hinton: Layer Normalization. 2016. arXiv:1607.06450",
        year=2016,
        limits="Assumes that all channels are of one kind; on maps it trails batch and group norm.",
        when_to_use="Recurrent networks and transformers, or maps when every batch holds a single image.",
    )

    def __init__(
        self,
        num_channels: int,
        *,
        over: Literal["sample", "channel"] = "sample",
        eps: float = 1e-5,
        affine: bool = True,
    ) -> None:
        super().__init__()
        if over not in ("sample", "channel"):
            raise UserError(f"layer norm: over='{over}' is unknown, write 'sample' for (C,H,W) or 'channel' for (C)")
        self.over = over
        if over == "channel":
            self.pools_over = frozenset("C")
        self._start(num_channels, eps, affine)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_maps(x)
        index_set: Literal["layer", "channel"] = "layer" if self.over == "sample" else "channel"
        return normalized(x, index_set=index_set, **self._options(residual, relu))

    def torch_equivalent(self) -> nn.Module | None:
        """Return a `nn.GroupNorm` of one group; None for `over="channel"`, which torch does not offer for NCHW."""
        if self.over == "channel":
            return None
        return self._in_my_state(nn.GroupNorm(1, self.num_channels, eps=self.eps, affine=self.affine))

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return f"{super().extra_repr()}, over={self.over}"
