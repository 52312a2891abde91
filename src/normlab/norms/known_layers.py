"""Which layers of a network are norms, and what each computes; a swap replaces only layers that are recognised here.

A layer of exactly torch's or this package's type does what its type says. A subclass or a lookalike (timm's
BatchNormAct2d, torchvision's FrozenBatchNorm2d ...) may compute more, which a replacement must not drop.
`norms.examined_layers` runs a copy of it and accepts it only if it computes its kind's formula, then perhaps an
activation. For all other layers whose class name contains "norm" the reason is returned why they are not replaced.
"""

from __future__ import annotations

import re

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from normlab.norms.base import Norm
from normlab.norms.examined_layers import examine
from normlab.norms.followed import Followed
from normlab.norms.norm_layer import ANY_AXES, NormLayer, axes_of, resembles_batch_norm

_SAYS_NORM = re.compile(r"norm(?!al(?!i[sz]))|(?-i:BN)", re.IGNORECASE)  # "Norm", "Normalize", "ABN"; not "Normal"
_OF_TORCH = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)
_HAS_WEIGHTS_OF_ITS_OWN = (
    nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, nn.MultiheadAttention
)  # fmt: skip


def recognise(module: nn.Module) -> NormLayer | str | None:
    """Return what a layer does if it is a norm that can be replaced, why it must stay, or None if it is not a norm."""
    if _is_quantised(module):
        return "it is prepared for quantization: swap before that"
    if not _is_norm(module):
        return None
    return _why_closed(module) or _by_type(module) or examine(module)


def _is_norm(module: nn.Module) -> bool:
    if isinstance(module, (Norm, *_OF_TORCH)):
        return True
    name = getattr(module, "original_name", None) or type(module).__name__  # a scripted module's own class
    if not (_SAYS_NORM.search(name) or resembles_batch_norm(module)) or type(module).__module__.startswith(
        "torch.nn.utils"
    ):
        return False
    inside = list(module.modules())
    return not any(isinstance(part, _HAS_WEIGHTS_OF_ITS_OWN) for part in inside) and not any(
        _is_norm(part) for part in inside[1:]
    )


def _is_quantised(module: nn.Module) -> bool:
    """Whether a class of torch's quantization has a norm, which it may compute from the norm's own tensors."""
    return type(module).__module__.startswith("torch.ao.nn.") and any(
        isinstance(part, _OF_TORCH) for part in module.modules()
    )


def _why_closed(module: nn.Module) -> str | None:
    """Return why the layer's computation cannot be determined, None if it can."""
    if isinstance(module, torch.jit.ScriptModule):
        return "it is scripted: swap before torch.jit.script"
    if parametrize.is_parametrized(module):
        return "its parameters are parametrized: remove the parametrization first"
    if any(hasattr(module, f"{key}_orig") or hasattr(module, f"{key}_g") for key in ("weight", "bias")):
        return "its weight is computed from others (pruning, weight norm): make that permanent first"
    if any(is_lazy(t) for t in (*module.parameters(), *module.buffers())):
        return "its size is not known yet: run the model on a batch first"
    if "forward" in vars(module):
        return "its forward was replaced on the instance"
    return None


def _by_type(module: nn.Module) -> NormLayer | str | None:
    """Answer for layers of exactly a known type, None for others."""
    followers = module.followers if isinstance(module, Followed) else {}
    exact = module.plain_class if isinstance(module, Followed) else type(module)
    if isinstance(module, Norm):
        return NormLayer(module, "scheme", module.num_channels, ANY_AXES, followers)
    if exact in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm):
        return NormLayer(module, "batch", module.num_features, axes_of(exact), followers)  # type: ignore
    if exact in (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d):
        return NormLayer(module, "instance", module.num_features, axes_of(exact), followers)  # type: ignore
    if exact is nn.GroupNorm:
        return NormLayer(module, "group", module.num_channels, ANY_AXES, followers)  # type: ignore[arg-type]
    if exact is nn.LayerNorm:
        return _layer_norm(module, followers)
    if exact is nn.RMSNorm:
        return "RMSNorm is a root-mean-square norm, which no scheme is"
    return None


def _layer_norm(module: nn.Module, followers: dict[str, nn.Module]) -> NormLayer | str:
    shape: tuple[int, ...] = module.normalized_shape  # type: ignore[assignment]
    if len(shape) < 3:
        what = "the last axis (tokens)" if len(shape) == 1 else "the last two axes"
        return f"LayerNorm over {what}, which is no map (N, C, ...)"
    return NormLayer(module, "layer", shape[0], (len(shape) + 1,), followers)
