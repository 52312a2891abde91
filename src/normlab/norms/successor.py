"""The layer that replaces a norm layer: it is built, gets the old layer's state, and is tried on its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from normlab.errors import UserError
from normlab.norms.base import Norm
from normlab.norms.examined_layers import epsilon
from normlab.norms.followed import follow
from normlab.norms.none import NoNorm
from normlab.norms.norm_layer import ANY_AXES, HOOKS, NormLayer
from normlab.norms.options import create_norm, norm_options
from normlab.norms.swap_example import Shape, failure_on


@dataclass
class Successor:
    """A new layer for an old one.

    Attributes:
        path: the old layer's qualified name.
        old: what is known of it.
        module: the new layer.
        shapes: the inputs that an example showed.
        new_parameters: qualified names of parameters that the old layer did not have.
        lost: parameters of the old layer that do not fit the new one.
    """

    path: str
    old: NormLayer
    module: nn.Module
    shapes: set[Shape]
    new_parameters: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)


def build_successor(
    path: str,
    old: NormLayer,
    name: str | Callable[..., nn.Module],
    options: dict[str, Any],
    model: nn.Module,
    shapes: set[Shape],
) -> Successor | str:
    """Return the new layer, or the reason why the old one has to stay.

    Raises: UserError naming the layer, if the options do not fit it or a callable returns no module.
    """
    for shape in sorted(shapes):
        is_unbatched = len(shape) not in old.axes and len(shape) <= max(ANY_AXES)
        if len(shape) < 2 or shape[1] != old.num_channels or is_unbatched:
            return f"its input {shape} is not (N, {old.num_channels}, ...)"
    fallback = next((t for t in model.parameters() if t.is_floating_point()), torch.empty(0))
    tensors = (*old.module.parameters(recurse=False), *old.module.buffers(recurse=False))
    like = next((t for t in tensors if t.is_floating_point()), fallback)
    try:
        with torch.device(like.device):
            new = _create(old, name, options)
    except UserError as error:
        raise UserError(f"swap_norms: {path or 'the layer'}: {error}") from None
    new.to(device=like.device, dtype=like.dtype)
    if not isinstance(new, Norm):
        reason = _why_unfit(new, old, shapes, like)
        if reason is not None:
            return reason
    if isinstance(new, NoNorm):
        new.copies = any(getattr(module, "inplace", False) for module in model.modules())
    return _in_state_of(Successor(path, old, new, shapes))


def _create(old: NormLayer, name: str | Callable[..., nn.Module], options: dict[str, Any]) -> nn.Module:
    if isinstance(name, str):
        given = {key: value for key, value in options.items() if value is not None}
        return create_norm(name, old.num_channels, **(norm_options(name, **_settings(old)) | given))
    new = name(old.num_channels, **options)
    if not isinstance(new, nn.Module):
        raise UserError(f"the replacement returned {type(new).__name__}, not a torch.nn.Module")
    return new


def _settings(old: NormLayer) -> dict[str, Any]:
    """Return the old layer's settings as options of `create_norm`."""
    layer = old.module
    if isinstance(layer, NoNorm):
        return {}
    settings: dict[str, Any] = {"eps": epsilon(layer), "affine": getattr(layer, "weight", None) is not None}
    if old.kind == "batch" or getattr(layer, "running_state", False):
        settings["track_running_stats"] = old.keeps_batch_estimates
        if hasattr(layer, "momentum"):
            settings["momentum"] = "cumulative" if layer.momentum is None else layer.momentum
        settings["sync"] = getattr(layer, "sync", isinstance(layer, nn.SyncBatchNorm))
    return settings


def _why_unfit(new: nn.Module, old: NormLayer, shapes: set[Shape], like: Tensor) -> str | None:
    """Return why a layer that a callable made cannot be used, None if it can."""
    typical = {(2, old.num_channels, *(4, 3, 2)[: axes - 2]) for axes in old.axes}
    for shape in sorted(shapes or typical):
        failure = failure_on(new, shape, like)
        if failure is not None:
            hint = "" if shapes else f" ({len(shape)} axes, as far as known; an example= shows what the layer gets)"
            return f"{type(new).__name__} does not take its input {shape}{hint}: {failure}"
    return None


def _in_state_of(successor: Successor) -> Successor:
    """Give the new layer the parameters, estimates, mode, hooks and followers of the old one, as far as they fit."""
    old, new = successor.old, successor.module
    prefix = f"{successor.path}." if successor.path else ""
    trains = [p.requires_grad for p in old.module.parameters(recurse=False)]
    for key, ours in list(new.named_parameters()):
        theirs = getattr(old.module, key, None)
        if isinstance(theirs, Tensor) and theirs.shape == ours.shape:
            is_parameter = isinstance(theirs, nn.Parameter)
            value = theirs if is_parameter else nn.Parameter(theirs.detach().clone(), requires_grad=False)
            setattr(new, key, value)
        elif key == "bias" and theirs is None and getattr(old.module, "weight", None) is not None:
            new.register_parameter("bias", None)
        else:
            successor.new_parameters.append(f"{prefix}{key}")
            ours.requires_grad_(any(trains) or not trains)
    successor.lost = [
        f"{prefix}{key}"
        for key, theirs in old.module.named_parameters(recurse=False)
        if getattr(new, key, None) is not None and getattr(new, key) is not theirs
    ]
    if old.keeps_batch_estimates:
        _copy_estimates(old.module, new)
    for key in HOOKS:
        setattr(new, key, getattr(old.module, key))
    new.train(old.module.training)
    follow(new, old.followers)  # last: they keep their own modes
    return successor


@torch.no_grad()
def _copy_estimates(old: nn.Module, new: nn.Module) -> None:
    for key, buffer in new.named_buffers(recurse=False):
        value = getattr(old, key, None)
        if isinstance(value, Tensor) and value.shape == buffer.shape:
            buffer.copy_(value)
