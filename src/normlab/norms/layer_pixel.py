"""Layer normalization over the channels at each position, as convolutional networks after transformers have it."""

from __future__ import annotations

from torch import Tensor

from normlab.norms.base import Norm, NormCard
from normlab.norms.core import normalized


class PixelLayerNorm(Norm):
    """Layer normalization per pixel: statistics over C at each position of each sample.

    y = (x - mean_nhw) / sqrt(var_nhw + eps) * weight_c + bias_c          (Ba et al. 2016, eq. 3, for each pixel)

    It is ConvNeXt's norm (Liu et al. 2022, sec. 2.6), with that network's eps; `layer` with over="channel" is the same
    with an eps of 1e-5. Nothing differs from the paper but the place: ConvNeXt has one norm in a block, and
    here the network decides.

    Args:
        num_channels: C, the size of axis 1.
        eps: added to the variance.
        affine: learn weight and bias per channel.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: ValueError if the input's shape does not fit.
    """

    pools_over = frozenset("C")
    card = NormCard(
        name="layer_pixel",
        title="Layer normalization per pixel",
        formula="y = (x - mean_nhw) / sqrt(var_nhw + eps) * weight_c + bias_c, statistics over C at each position",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw} - \mu_{nhw}}{\sqrt{\sigma_{nhw}^2 + \epsilon}} + \beta_c,\quad"
        r"\mu_{nhw} = \frac{1}{C}\sum_{c} x_{nchw}",
        paper="Liu et al.: A ConvNet for the 2020s. CVPR 2022. arXiv:2201.03545",
        year=2022,
        limits="Discards how strong a pixel is beside the others of its image; needs many channels.",
        when_to_use="Convolutional networks built like transformers, with one norm in a block.",
    )

    def __init__(self, num_channels: int, *, eps: float = 1e-6, affine: bool = True) -> None:
        super().__init__()
        self._start(num_channels, eps, affine)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_maps(x)
        return normalized(x, index_set="channel", **self._options(residual, relu))
