"""Norms of one's own, by a reference such as `mynorm.py:MyNorm`: made into a scheme.
`own_check.py` tries it by the contract.

A subclass of `Norm` is a scheme as it is. Any other callable that takes `num_channels` and returns a module declares
nothing that could be checked, so it is trained only by those who ask for an unchecked norm.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from normlab.errors import UserError
from normlab.norms.base import Norm, NormCard
from normlab.own_code import load_reference, what_was_raised
from normlab.plurals import plural


def own_norm(reference: str) -> Callable[..., Norm]:
    """Return what builds the norm that a reference names: a `Norm`, or another module inside of one.

    Raises: UserError if it cannot be imported or called.
    """
    made = load_reference(reference)
    if isinstance(made, type) and issubclass(made, Norm):
        return _explained(reference, made)
    if not callable(made):
        raise UserError(f"{reference}: is a {type(made).__name__}, where a norm's class or a function is needed")

    def build(num_channels: int, **options: Any) -> Norm:
        layer = made(num_channels, **options)
        if isinstance(layer, Norm):
            return layer
        if not isinstance(layer, nn.Module):
            raise UserError(f"{reference}: returned a {type(layer).__name__}, where a torch.nn.Module is needed")
        return UndeclaredNorm(num_channels, layer)

    functools.update_wrapper(build, made)  # its signature says which options it takes
    return _explained(reference, build)


class UndeclaredNorm(Norm):
    """A module of which nothing is known but that it takes (N, C, H, W) and keeps the shape."""

    card = NormCard(
        name="undeclared",
        title="A layer of one's own",
        formula="not declared",
        latex=r"y = f(x)",
        paper="none",
        year=None,
        limits="Nothing about it has been checked.",
        when_to_use="To try a layer before it is written as a scheme.",
        statistics="none",
    )
    weight = None
    bias = None
    eps = 0.0
    affine = False

    def __init__(self, num_channels: int, layer: nn.Module) -> None:
        super().__init__()
        self.num_channels = self.num_features = num_channels
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer makes of x."""
        y: Tensor = self.layer(x)
        return y

    def reset_parameters(self) -> None:
        """Reset the layer, if it can be."""
        reset = getattr(self.layer, "reset_parameters", None)
        if reset is not None:
            reset()

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return str(self.num_channels)


def _explained(reference: str, build: Callable[..., Norm]) -> Callable[..., Norm]:
    """Return `build` with every error of its own as a line that names the reference."""

    @functools.wraps(build)
    def explained(num_channels: int, **options: Any) -> Norm:
        try:
            return build(num_channels, **options)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{reference}: raised {what_was_raised(error)} for {plural(num_channels, 'channel')}"
            ) from error

    return explained
