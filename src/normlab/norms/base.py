"""What a normalization scheme is: an `nn.Module` over (N, C, H, W) with declared axes and a card.

The declarations are not decoration: `check_norm` measures that the statistics are 0 and 1 over exactly
`pools_over`, the command line lists the cards, and the report explains each scheme with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class NormCard:
    """What a reader wants to know about a scheme: shown by `normlab list norms`, in the docs and in reports.

    Attributes:
        name: its canonical registry name.
        title: as a heading, "Group normalization".
        formula: in plain text.
        latex: the same in LaTeX, without dollar signs.
        paper: authors, title and venue.
        year: of the paper; None where there is none.
        limits: where it fails or costs something.
        when_to_use: in one sentence.
    """

    name: str
    title: str
    formula: str
    latex: str
    paper: str
    year: int | None
    limits: str
    when_to_use: str


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
        channel_groups: into how many blocks axis C is cut before it is pooled.
        num_channels: C.
    """

    card: ClassVar[NormCard]
    pools_over: frozenset[str] = frozenset()
    batch_dependent: bool = False
    running_state: bool = False
    channel_groups: int = 1
    num_channels: int
    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def fused(self, x: Tensor, *, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu(self(x) + residual), each part where asked for: the one place for a fused kernel."""
        y = self(x)
        if residual is None:
            return torch.relu(y) if relu else y  # not in place: a forward hook may keep y
        y = y + residual
        return y.relu_() if relu else y

    def torch_equivalent(self) -> nn.Module | None:
        """Return a new layer of torch's own that computes the same from the same state dict, or None."""
        return None

    def reset_parameters(self) -> None:
        """Put every parameter and statistic back to its start: weight 1, bias 0."""
        if self.weight is not None and self.bias is not None:
            nn.init.ones_(self.weight)
            nn.init.zeros_(self.bias)

    def _start(self, num_channels: int, eps: float, affine: bool) -> None:
        self.num_channels, self.eps, self.affine = num_channels, eps, affine
        for name in ("weight", "bias"):
            self.register_parameter(name, nn.Parameter(torch.empty(num_channels)) if affine else None)

    def _in_my_state(self, layer: nn.Module) -> nn.Module:
        state = self.state_dict()
        layer.load_state_dict(state)
        return layer.to(next(iter(state.values()), torch.empty(0))).train(self.training)

    def _check_input(self, x: Tensor) -> None:
        if x.dim() != 4 or x.shape[1] != self.num_channels:
            raise ValueError(f"{type(self).__name__} needs (N, {self.num_channels}, H, W), got {tuple(x.shape)}")

    def extra_repr(self) -> str:
        """Show the options that the scheme was built with."""
        return f"{self.num_channels}, eps={self.eps}, affine={self.affine}"
