"""Root mean square normalization over the channels at each position."""

from __future__ import annotations

from torch import Tensor

from normlab.kernels.pixels import PIXELS
from normlab.norms.base import Norm, NormCard
from normlab.norms.reference import finish, root_mean_square_reference


class PixelRMSNorm(Norm):
    """Root mean square normalization per pixel: one mean square over C at each position of each sample.

    y = x / sqrt(mean_nhw(x^2) + eps) * weight_c + bias_c                  (Zhang & Sennrich 2019, eq. 4)

    The paper normalises a vector of features for each word; here it is the vector of channels of each pixel. The
    paper has no eps.

    Args:
        num_channels: C, the size of axis 1.
        eps: added to the mean square.
        affine: learn weight and bias per channel.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: ValueError if the input's shape does not fit.
    """

    pools_over = frozenset("C")
    card = NormCard(
        name="rms_pixel",
        title="Root mean square normalization per pixel",
        formula="y = x / sqrt(mean_nhw(x^2) + eps) * weight_c + bias_c, mean square over C at each position",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw}}{\sqrt{\overline{x^2}_{nhw} + \epsilon}} + \beta_c,\quad"
        r"\overline{x^2}_{nhw} = \frac{1}{C}\sum_{c} x_{nchw}^2",
        paper="Zhang and Sennrich: Root Mean Square Layer Normalization. NeurIPS 2019. arXiv:1910.07467",
        year=2019,
        limits="Discards how strong a pixel is beside the others of its image; a large common offset stays.",
        when_to_use="Networks that treat pixels as tokens, with one statistic fewer than layer norm per pixel.",
        statistics="mean square",
    )

    def __init__(self, num_channels: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self._start(num_channels, eps, affine)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_input(x)
        y = PIXELS.try_call(x, self.weight, self.bias, residual, False, self.eps, relu)
        if y is not None:
            return y
        return finish(root_mean_square_reference(x, self.pools_over, self.weight, self.bias, self.eps), residual, relu)
