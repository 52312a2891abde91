"""No normalization: the baseline of every comparison."""

from __future__ import annotations

from torch import Tensor

from normlab.norms.base import Norm, NormCard, refuse_channels
from normlab.norms.reference import finish


class NoNorm(Norm):
    """The identity: y = x, the very same tensor. No parameters.

    Accepts and ignores every option of the other schemes, so that one setting serves a whole study.

    Args:
        num_channels: C, remembered so that the layer can be swapped for another scheme.
    Attributes:
        copies: return a copy instead. A norm's output is a fresh tensor, on which a following activation may work in
            place; without a norm it would overwrite what others still read. `swap_norms` sets it where there are
            such activations.
    Shape: any.
    """

    card = NormCard(
        name="none",
        title="No normalization",
        formula="y = x",
        latex=r"y_{nchw} = x_{nchw}",
        paper="The control",
        year=None,
        limits="Deep networks need small steps and a careful start; residual sums grow with every block.",
        when_to_use="As the control that shows what normalization buys.",
        statistics="none",
    )
    eps = 0.0
    affine = False
    weight = None
    bias = None
    copies = False

    def __init__(self, num_channels: int, **_options: object) -> None:
        super().__init__()
        refuse_channels(num_channels, type(self).__name__)
        self.num_channels = self.num_features = num_channels

    def forward(self, input: Tensor) -> Tensor:
        """Return the input itself, or a copy of it if `copies`."""
        return input.clone() if self.copies else input

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(x + residual?); x itself, or a copy of it if `copies`, if neither follows."""
        return finish(self.forward(x), residual, relu)

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return str(self.num_channels)
