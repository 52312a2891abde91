"""Group normalization: channels in equal blocks, statistics per block and sample."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal

from torch import Tensor, nn

from normlab.errors import UserError
from normlab.norms.base import Norm, NormCard, refuse_channels
from normlab.norms.core import normalized
from normlab.plurals import plural

DEFAULT_GROUPS = 4


class GroupNorm(Norm):
    """Group normalization: statistics over (C/G, H, W) of each sample.

    y = (x - mean_g) / sqrt(var_g + eps) * weight_c + bias_c                        (Wu & He 2018, sec. 3.1)

    Args:
        num_channels: C, the size of axis 1.
        groups: G; must divide C. G = 1 is layer norm over (C,H,W), G = C is instance norm. The paper's 32
            does not fit 16 channels, so without `groups` and `channels_per_group` G is the largest divisor of
            C up to 4.
        channels_per_group: C/G, instead of `groups`; the paper's other setting is 16.
        eps: added to the variance.
        affine: learn weight and bias per channel.
    Shape: (N, C, H, W) -> (N, C, H, W), any floating type; statistics are float32. (N, C), (N, C, L) and
        (N, C, D, H, W) are taken as maps of that many positions.
    Raises: UserError naming C and the nearest divisors if C cannot be cut so, or if both settings are given;
        ValueError if the input's shape does not fit.
    """

    pools_over = frozenset("CHW")
    card = NormCard(
        name="group",
        title="Group normalization",
        formula="y = (x - mean_ng) / sqrt(var_ng + eps) * weight_c + bias_c, statistics over (C/G, H, W)",
        latex=r"y_{nchw} = \gamma_c\,\frac{x_{nchw} - \mu_{ng}}{\sqrt{\sigma_{ng}^2 + \epsilon}} + \beta_c,"
        r"\quad g = \lfloor cG/C \rfloor,\ \mu_{ng} = \frac{G}{CHW}\sum_{c \in g,h,w} x_{nchw}",
        paper="Wu and He: Group Normalization. ECCV 2018. arXiv:1803.08494",
        year=2018,
        limits="The number of groups is one more choice and must divide C; large batches favour batch norm.",
        when_to_use="Batches too small for batch norm: detection, segmentation, video, fine-tuning.",
    )

    def __init__(
        self,
        num_channels: int,
        *,
        groups: int | None = None,
        channels_per_group: int | None = None,
        eps: float = 1e-5,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.groups = self.channel_groups = count_groups(num_channels, groups, channels_per_group)
        self._start(num_channels, eps, affine)
        self.reset_parameters()

    @property
    def degenerates_to(self) -> Literal["layer", "instance"] | None:
        """The scheme that this is at its number of groups: "layer" at G = 1, "instance" at G = C."""
        if self.groups == 1:
            return "layer"
        return "instance" if self.groups == self.num_channels else None

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?)."""
        self._check_maps(x)
        return normalized(x, index_set="group", groups=self.groups, **self._options(residual, relu))

    def torch_equivalent(self) -> nn.Module:
        """Return a `nn.GroupNorm` in the same state."""
        return self._in_my_state(nn.GroupNorm(self.groups, self.num_channels, eps=self.eps, affine=self.affine))

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return f"{super().extra_repr()}, groups={self.groups}"


def count_groups(
    num_channels: int, groups: int | None, channels_per_group: int | None, scheme: str = "group norm"
) -> int:
    """Return G by one of the two settings, or the largest divisor of C up to 4 without any.

    Raises: UserError naming the scheme and the nearest divisors if C cannot be cut so, or if both are given.
    """
    refuse_channels(num_channels, scheme)
    divisors = [d for d in range(1, num_channels + 1) if num_channels % d == 0]
    if groups is not None and channels_per_group is not None:
        raise UserError(f"{scheme}: give groups or channels_per_group, not both")
    if groups is None and channels_per_group is None:
        return max(d for d in divisors if d <= DEFAULT_GROUPS)
    name, value = ("groups", groups) if groups is not None else ("channels_per_group", channels_per_group)
    assert value is not None
    given: Any = value
    if not isinstance(given, Integral):
        raise UserError(f"{scheme}: {name}={value!r} is no whole number")
    if value not in divisors:
        below = [str(d) for d in divisors if d < value][-1:]
        above = [str(d) for d in divisors if d > value][:1]
        raise UserError(
            f"{scheme}: {name}={value} does not divide {plural(num_channels, 'channel')}, use "
            f"{' or '.join(below + above)}"
        )
    return value if groups is not None else num_channels // value
