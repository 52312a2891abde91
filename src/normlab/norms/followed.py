"""A norm with what follows it in one layer, as model zoos write it: norm, then dropout, then activation.

`follow(norm, {"act": nn.ReLU()})` gives the norm's class a subclass whose `forward` goes on through these modules.
The layer stays what it was (`isinstance`, parameters, keys of the state dict) and can be copied and pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from normlab.norms.reference import finish


class Followed:
    """Mixed into a norm's class by `follow`.

    Attributes:
        plain_class: the norm's class without what follows.
        follower_names: the submodules that follow, in their order.
    """

    plain_class: type[nn.Module]
    follower_names: tuple[str, ...] = ()

    def forward(self, input: Tensor) -> Tensor:
        """Normalise, then apply each follower."""
        y: Tensor = super().forward(input)  # type: ignore[misc]
        if y is input:  # a norm that does nothing: an activation in place must not reach the layer's input
            y = input.clone()
        for name in self.follower_names:
            y = getattr(self, name)(y)
        return y

    def fused(self, x: Tensor, *, residual: Tensor | None = None, relu: bool = False) -> Tensor:
        """Return relu?(self(x) + residual?)."""
        return finish(self(x), residual, relu)  # type: ignore[operator]

    def __reduce__(self) -> tuple[Any, ...]:  # the class has no importable name
        return _empty, (self.plain_class,), self.__dict__.copy()

    @property
    def followers(self) -> dict[str, nn.Module]:
        """What follows the norm, by name."""
        return {name: getattr(self, name) for name in self.follower_names}


def follow(norm: nn.Module, followers: Mapping[str, nn.Module]) -> nn.Module:
    """Make `norm` apply these modules after normalising, and return it; without any it stays as it is."""
    if not followers:
        return norm
    norm.__class__ = _followed(type(norm))
    names = {name: f"{name}_" if hasattr(norm, name) else name for name in followers}
    for name, follower in followers.items():
        norm.add_module(names[name], follower)
    norm.follower_names = tuple(names.values())  # type: ignore[assignment]
    return norm


_classes: dict[type[nn.Module], type[nn.Module]] = {}  # one for each plain class, so that types compare


def _followed(plain_class: type[nn.Module]) -> type[nn.Module]:
    if plain_class not in _classes:
        members = {"plain_class": plain_class, "__module__": plain_class.__module__, "__doc__": plain_class.__doc__}
        _classes[plain_class] = type(f"{plain_class.__name__}Act", (Followed, plain_class), members)
    return _classes[plain_class]


def _empty(plain_class: type[nn.Module]) -> nn.Module:
    """Return a layer without state, for copying and unpickling."""
    followed = _followed(plain_class)
    return followed.__new__(followed)
