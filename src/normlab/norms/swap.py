"""Exchange the norm layers of any torch model for another scheme, and touch nothing else.

Only layers whose exact type is known are exchanged. A subclass may hold more than a norm (an activation,
say), and dropping that unnoticed is the bug that such swaps are known for; so it stays, and so do
`nn.BatchNorm1d` and `3d`, `nn.RMSNorm` and `nn.LayerNorm` over the last axis, whose inputs are not (N, C, H,
W) maps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from normlab.errors import UserError
from normlab.norms import NORMS
from normlab.norms.base import Norm
from normlab.norms.none import NoNorm
from normlab.norms.options import create_norm, norm_options

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


def swap_norms(model: nn.Module, name: str, **options: Any) -> list[str]:
    """Replace the norm layers of `model`, in place, by the scheme called `name`.

    Replaced are torch's `BatchNorm2d`, `SyncBatchNorm`, `InstanceNorm2d`, `GroupNorm` (taken to act on
    4-dimensional maps), `LayerNorm` with a shape of three axes (C, H, W), and every `Norm` of this package.
    Where they fit, a new layer takes over the very parameter objects of the old one, so an optimiser that
    holds them stays right; running statistics go from batch norm to batch norm. `eps`, `momentum` and the
    absence of weights carry over where the new scheme knows them and `options` does not say otherwise.
    Device, type, training mode and forward and backward hooks are kept. A layer that is used in several
    places is replaced by one layer.

    Args:
        model: any module that is not itself a norm layer.
        name: of a scheme in `NORMS`, e.g. "group".
        options: of the scheme, e.g. groups=8; those that are None count as not given.

    Returns: the qualified names of the replaced layers, as `model.named_modules()` gives them.
    Raises: UserError if `model` itself is a norm layer, or the name or an option is unknown or does not fit.
    """
    name = NORMS.resolve(name)
    if _num_channels(model) is not None:
        raise UserError(
            f"swap_norms: the model is itself a {type(model).__name__} and cannot be replaced in place; "
            f"build one with NORMS.create('{name}', num_channels)"
        )
    found = {path: module for path, module in model.named_modules() if _num_channels(module) is not None}
    fallback = next((t for t in model.parameters() if t.is_floating_point()), torch.empty(0))
    # All are built before the first is placed: an option that fits no layer leaves the model as it was.
    new = {id(old): _successor(old, name, options, fallback) for old in found.values()}
    for parent in list(model.modules()):
        for child_name, child in parent._modules.items():
            if id(child) in new:
                parent._modules[child_name] = new[id(child)]
    return list(found)


def _num_channels(module: nn.Module) -> int | None:
    """Return C of a layer that can be replaced, None for all else."""
    if isinstance(module, Norm):
        return module.num_channels
    if type(module) is nn.LayerNorm and len(module.normalized_shape) == 3:
        return module.normalized_shape[0]
    if type(module) is nn.GroupNorm:
        return module.num_channels
    if type(module) in (nn.BatchNorm2d, nn.SyncBatchNorm, nn.InstanceNorm2d):
        return int(module.num_features)  # type: ignore[arg-type]
    return None


def _successor(old: nn.Module, name: str, options: dict[str, Any], fallback: Tensor) -> Norm:
    """Build the new layer in the old one's state, as far as it fits."""
    num_channels = _num_channels(old)
    assert num_channels is not None
    given = {key: value for key, value in options.items() if value is not None}
    new = create_norm(name, num_channels, **(norm_options(name, **_settings(old)) | given))
    like = next((t for t in (*old.parameters(), *old.buffers()) if t.is_floating_point()), fallback)
    new.to(device=like.device, dtype=like.dtype)
    for key, ours in list(new.named_parameters()):
        theirs = getattr(old, key, None)
        if theirs is not None and theirs.shape == ours.shape:
            setattr(new, key, theirs)
    if new.running_state and _keeps_batch_averages(old):
        for key, buffer in new.named_buffers():
            buffer.copy_(old.get_buffer(key))
    for key in _HOOKS:
        setattr(new, key, getattr(old, key))
    return new.train(old.training)


def _settings(old: nn.Module) -> dict[str, Any]:
    """Return how the old layer was set, in the words of `create_norm`."""
    if isinstance(old, NoNorm):
        return {}
    settings = {"eps": getattr(old, "eps", None), "affine": getattr(old, "weight", None) is not None}
    if _keeps_batch_averages(old):
        momentum = getattr(old, "momentum", None)
        settings["momentum"] = "cumulative" if momentum is None else momentum
    return settings


def _keeps_batch_averages(layer: nn.Module) -> bool:
    """Tell batch norm's averages from those of an instance norm that tracks its own."""
    is_batch = isinstance(layer, nn.BatchNorm2d | nn.SyncBatchNorm | Norm)
    return is_batch and getattr(layer, "running_mean", None) is not None
