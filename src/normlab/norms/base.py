"""What a normalization scheme is: an `nn.Module` over (N, C, ...) with declared axes and a card.

Schemes are written for maps (N, C, H, W). `Norm.forward` folds whatever follows C into two axes and back, so that
each also takes features (N, C), sequences (N, C, L) and volumes (N, C, D, H, W).

`check_norm` verifies the declarations, such as mean 0 and variance 1 over exactly `pools_over`. The command line
lists the cards, and reports explain each scheme with them.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from normlab.errors import UserError, shortened
from normlab.norms.reference import finish


def refuse_channels(num_channels: object, scheme: str) -> None:
    """Raise `UserError` unless C, the size of axis 1, is a whole number of 1 or more."""
    if not isinstance(num_channels, Integral) or isinstance(num_channels, bool) or num_channels < 1:
        raise UserError(
            f"{scheme}: num_channels={shortened(num_channels)} is no number of channels: give the size of the input's "
            "axis 1, a whole number of 1 or more"
        )


@dataclass(frozen=True)
class NormCard:
    """A description of a scheme for readers: shown by `normlab list norms`, in the docs and in reports.

    Attributes:
        name: its canonical registry name.
        title: as a heading, "Group normalization".
        formula: in plain text.
        latex: the same in LaTeX, without dollar signs.
        paper: authors, title and venue.
        year: of the paper; None where there is none.
        limits: where it fails or costs something.
        when_to_use: in one sentence.
        statistics: what the scheme divides by or subtracts, and so what `check_norm` expects of its output:
            "mean and variance" makes the mean 0 and the variance 1 over `pools_over`; "mean square" makes the mean
            square 1; "mixed" mixes several sets, so that no single one comes out standardised; "activated" is a
            scheme that ends in an activation of its own, after which nothing is standardised; "none" is a function of
            each value alone.
    """

    name: str
    title: str
    formula: str
    latex: str
    paper: str
    year: int | None
    limits: str
    when_to_use: str
    statistics: Literal["mean and variance", "mean square", "mixed", "activated", "none"] = "mean and variance"


class Norm(nn.Module):
    """Interface of all schemes. Subclasses are final and are built as `Norm(num_channels, *, eps=..., ...)`.

    A subclass also accepts only those options that it understands, and every other keyword is a TypeError.
    It may define `parameter_options() -> {parameter: {"lr_scale": float, "weight_decay": float}}`, which the
    optimiser reads from any module.

    Attributes:
        card: what it is, for readers.
        pools_over: the axes among "N", "C", "H", "W" that one mean runs over.
        batch_dependent: whether a sample's output in training depends on the others.
        running_state: whether evaluation uses averages kept from training.
        activates: whether it contains its activation, so that a network puts no ReLU after it (see `fused`).
        channel_groups: into how many blocks axis C is cut before it is pooled.
        num_channels: C; also as `num_features`, torch's name for it.
    """

    card: ClassVar[NormCard]
    pools_over: frozenset[str] = frozenset()
    batch_dependent: bool = False
    running_state: bool = False
    activates: bool = False
    channel_groups: int = 1
    num_channels: int
    eps: float
    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def transform(self, x: Tensor, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(norm(x) + residual?) of maps: what a scheme defines, in one pass where a kernel can.

        x and residual are (N, C, H, W). A scheme that has only `forward` gets the plain composition.
        """
        return finish(self.forward(x), residual, relu)

    def forward(self, input: Tensor) -> Tensor:  # the name that torch's own layers give it
        """Normalise (N, C, ...); in training, schemes with running state also update their estimates."""
        if input.dim() == 4:
            return self.transform(input)
        return self.transform(self._as_maps(input)).view(input.shape)

    def fused(self, x: Tensor, *, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu(self(x) + residual), each part where asked for: what a block does with a norm's output.

        The ReLU stands for the block's activation, so a scheme that `activates` leaves it out, and the block needs no
        case for it. It is `transform`, unless somebody hangs on the layer with a hook, who must see the norm's own
        output.
        """
        relu = relu and not self.activates
        is_hooked = self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks
        if is_hooked or x.dim() != 4:
            return finish(self(x), residual, relu)
        return self.transform(x, residual, relu)

    def torch_equivalent(self) -> nn.Module | None:
        """Return a new layer of torch's own that computes the same from the same state dict, or None."""
        return None

    def reset_parameters(self) -> None:
        """Set every parameter and statistic to its initial value: weight 1, bias 0."""
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def _start(self, num_channels: int, eps: float, affine: bool) -> None:
        refuse_channels(num_channels, type(self).__name__)
        given: Any = eps
        if not (isinstance(given, Real) and math.isfinite(given)):  # torch takes one below 0, too
            raise UserError(f"{type(self).__name__}: eps={eps!r} is no finite number, as 1e-5")
        self.num_channels = self.num_features = num_channels
        self.eps, self.affine = eps, affine
        for name in ("weight", "bias"):
            self.register_parameter(name, nn.Parameter(torch.empty(num_channels)) if affine else None)

    def _options(self, residual: Tensor | None, relu: bool) -> dict[str, Any]:
        """Return the arguments that `norms.core` takes for every scheme."""
        own = self._parameters  # `self.weight` takes a microsecond to find it there
        return {"weight": own["weight"], "bias": own["bias"], "eps": self.eps, "residual": residual, "relu": relu}

    def _in_my_state(self, layer: nn.Module) -> nn.Module:
        state = self.state_dict()
        layer.load_state_dict(state)
        return layer.to(next(iter(state.values()), torch.empty(0))).train(self.training)

    def _as_maps(self, x: Tensor) -> Tensor:
        """View (N, C, ...) as (N, C, H, W): H is all further axes but the last, W the last; both 1 where missing."""
        self._check_shape(x)
        if x.dim() < 4:
            return x[(..., *[None] * (4 - x.dim()))]
        return x.flatten(2, -2)

    def _check_maps(self, x: Tensor) -> None:
        """Check maps, and warn where each mean runs over one value: of the usual maps one look is enough."""
        if x.dim() == 4 and x.is_floating_point():
            _, C, H, W = x.shape
            if self.num_channels == C and H * W > 1 and "H" in self.pools_over:
                return
        self._check_input(x)
        self._warn_if_nothing_is_left(x)

    def _check_input(self, x: Tensor) -> None:
        self._check_shape(x)
        if not x.is_floating_point():
            raise TypeError(
                f"{type(self).__name__} needs floating-point input, got {x.dtype}: convert it, e.g. with .float()"
            )

    def _check_shape(self, x: Tensor) -> None:
        if x.dim() < 2 or x.shape[1] != self.num_channels:
            C = self.num_channels
            raise ValueError(
                f"{type(self).__name__} needs (N, {C}, H, W), or N, {C} and any number of axes, got {tuple(x.shape)}"
            )

    def _warn_if_nothing_is_left(self, x_nchw: Tensor) -> None:
        """Warn where a mean runs over one value only: that value minus its mean is 0, whatever it was."""
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return
        if values_per_statistic(self, x_nchw.shape) == 1 and x_nchw.numel() > 0:
            shape = ", ".join(("N", *map(str, x_nchw.shape[1:])))
            warnings.warn(
                f"{type(self).__name__}: each mean runs over one value of the input ({shape}), which leaves nothing of "
                "it but the bias",
                stacklevel=2,
            )

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return f"{self.num_channels}, eps={self.eps}, affine={self.affine}"


def values_per_statistic(norm: Norm, shape: tuple[int, ...]) -> int:
    """Return over how many values one mean runs for input of that shape (N, C, ...).

    0 means none, as for an empty batch or a scheme without statistics.
    """
    if not norm.pools_over:
        return 0
    N, C, *positions = shape
    sizes = {"N": N, "C": C // norm.channel_groups, "HW": math.prod(positions)}
    return math.prod(size for axes, size in sizes.items() if norm.pools_over & set(axes))
