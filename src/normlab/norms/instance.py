"""Instance normalization: every image and channel by itself."""

from __future__ import annotations

from torch import Tensor, nn

from normlab.norms.base import Norm, NormCard
from normlab.norms.core import normalized


class InstanceNorm(Norm):
    """Instance normalization: statistics over (H, W) of each channel of each sample, in both modes.

    y = (x - mean_nc) / sqrt(var_nc + eps) * weight_c + bias_c                   (Ulyanov et al. 2016, sec. 2)

    No running state is kept. A map of one position has variance 0 and comes out as `bias`: the scheme needs
    H * W > 1 to carry anything.

    Args:
        num_channels: C, the size of axis 1.
        eps: added to the variance.
        affine: learn weight and bias per channel (unlike `nn.InstanceNorm2d`, on by default).
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: ValueError if the input's shape does not fit.
    """

    pools_over = frozenset("HW")
    card = NormCard(
        name="instance",
        title="Instance normalization",
        formula="y = (x - mean_nc) / sqrt(var_nc + eps) * weight_c + bias_c, statistics over (H, W)",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw} - \mu_{nc}}{\sqrt{\sigma_{nc}^2 + \epsilon}} + \beta_c,"
        r"\quad \mu_{nc} = \frac{1}{HW}\sum_{h,w} x_{nchw}",
        paper="Ulyanov, Vedaldi and Lempitsky: Instance Normalization: The Missing Ingredient for Fast "
        "Stylization. 2016. arXiv:1607.08022",
        year=2016,
        limits="Discards each channel's strength in an image, which a classifier may need; a 1x1 map carries nothing.",
        when_to_use="Style transfer and image generation, where an image's contrast is a nuisance.",
    )

    def __init__(self, num_channels: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self._start(num_channels, eps, affine)
        self.reset_parameters()

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_maps(x)
        return normalized(x, index_set="instance", **self._options(residual, relu))

    def torch_equivalent(self) -> nn.Module:
        """Return a `nn.GroupNorm` of C groups: unlike `nn.InstanceNorm2d` it takes 1x1 maps."""
        return self._in_my_state(nn.GroupNorm(self.num_channels, self.num_channels, eps=self.eps, affine=self.affine))
