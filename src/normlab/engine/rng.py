"""One random stream per purpose, derived from the seed and not from the number of earlier draws.

So two schemes under one seed start from the same convolution weights and see the same order and crops: their
comparison is paired. A resumed run needs no saved generator state.
"""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def derive(seed: int, *purpose: object) -> int:
    """Return a 63-bit seed for a purpose, e.g. `derive(0, "order", epoch)`. Stable across machines and versions."""
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def seed_stream(seed: int, *purpose: object) -> None:
    """Seed torch's global generators, which dropout draws from, for one purpose."""
    torch.manual_seed(derive(seed, *purpose))


def initialise(model: nn.Module, seed: int) -> None:
    """Draw every module's parameters from a stream of its own, named by the module's path.

    A module takes part if it has `reset_parameters()`; a subtree marked `pretrained = True` keeps its weights. So
    does one marked `keeps_its_start`: a network that is not normlab's, whose constructor draws from the stream "build".
    Adding or removing a module, e.g. a norm layer, changes no other module's draw.
    """
    _initialise(model, seed, "")


def _initialise(module: nn.Module, seed: int, path: str) -> None:
    if getattr(module, "pretrained", False) or getattr(module, "keeps_its_start", False):
        return
    for name, child in module.named_children():
        _initialise(child, seed, f"{path}.{name}" if path else name)
    reset = getattr(module, "reset_parameters", None)
    if reset is not None and next(module.parameters(recurse=False), None) is not None:
        seed_stream(seed, "init", path)
        reset()
