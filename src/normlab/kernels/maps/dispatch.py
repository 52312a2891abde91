"""Two small steps of a residual network, each in one pass over a channels_last map: see maps.cpp.

At a batch of 8 torch's chains of calls for them took 8 % of a training step. Both functions answer None for what the
kernel does not take, which is for the caller's plain PyTorch: maps on a GPU or in NCHW, other types than float32 and
bfloat16, torch.compile, torch.func, and where the kernels or their glue cannot be had.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime import glue


def halve(x: Tensor, extra: int) -> Tensor | None:
    """Return every second position of x (N, C, H, W) with `extra` channels of zeros behind its own."""
    module = None if torch.compiler.is_compiling() else _connected()
    found: Tensor | None = None if module is None else module.halve(x, extra)
    return found


def mean(x: Tensor) -> Tensor | None:
    """Return the mean of x (N, C, H, W) over its positions, (N, C), added up in float32."""
    module = None if torch.compiler.is_compiling() else _connected()
    found: Tensor | None = None if module is None else module.mean(x)
    return found


@functools.cache
def _connected() -> Any:
    return glue.glue("maps", "halve_forward", "halve_backward", "mean_forward", "mean_backward")
