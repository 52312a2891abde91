"""A norm layer of a given network, described for a swap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

Kind = Literal["batch", "instance", "group", "layer", "channel", "tokens", "scheme"]

HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",  # without it torch calls no backward hook
)
ANY_AXES = (2, 3, 4, 5)


def axes_of(layer_class: type[nn.Module]) -> tuple[int, ...]:
    """Return how many axes the input of such a layer has, as torch's class that it is or derives from says."""
    return next((axes for base, axes in _AXES.items() if issubclass(layer_class, base)), ANY_AXES)


_AXES: dict[type[nn.Module], tuple[int, ...]] = {
    nn.BatchNorm1d: (2, 3), nn.BatchNorm2d: (4,), nn.BatchNorm3d: (5,),
    nn.InstanceNorm1d: (3,), nn.InstanceNorm2d: (4,), nn.InstanceNorm3d: (5,),
}  # fmt: skip


@dataclass(frozen=True)
class NormLayer:
    """A norm over (N, C, ...) as a swap sees it.

    Attributes:
        module: the layer itself.
        kind: which values share a mean: "channel" is the channels at each position, "tokens" the last axis, "scheme"
            any `Norm`.
        num_channels: C.
        axes: how many axes its input may have, as far as its type or a trial tells.
        followers: modules that run after the norm, by name, e.g. an activation.
        is_frozen: it normalises by its estimates in training too.
    """

    module: nn.Module
    kind: Kind
    num_channels: int
    axes: tuple[int, ...] = ANY_AXES
    followers: dict[str, nn.Module] = field(default_factory=dict)
    is_frozen: bool = False

    @property
    def keeps_batch_estimates(self) -> bool:
        """Whether it has averages of batches; the averages of an instance norm are not meant."""
        return self.kind in ("batch", "scheme") and getattr(self.module, "running_mean", None) is not None


def resembles_batch_norm(module: nn.Module) -> bool:
    """Whether a layer has the tensors of a batch norm, whatever its class: estimates and, if any, weights of (C,)."""
    mean, var = (getattr(module, key, None) for key in ("running_mean", "running_var"))
    if not isinstance(mean, torch.Tensor) or not isinstance(var, torch.Tensor):
        return False
    affine = (getattr(module, key, None) for key in ("weight", "bias"))
    return mean.dim() == 1 and all(t.shape == mean.shape for t in (var, *affine) if isinstance(t, torch.Tensor))
