"""Count how often each bfloat16 value occurs in a map, and which channels are ever other than zero, on CPUs.

`torch.bincount` wants its input as integers, four times the map's memory; the kernel reads the map once where it
lies. Ask `available` first; what it does not take is for the caller's plain PyTorch reference.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime.build import load

PATTERNS = 1 << 16


def available(values: Tensor) -> bool:
    """Return whether the kernel takes these values: dense float32 or bfloat16 on a CPU, (N, C, ...), not empty."""
    return (
        type(values) is Tensor
        and values.dtype in (torch.float32, torch.bfloat16)
        and values.dim() >= 2
        and values.is_cpu
        and values.numel() > 0
        and (values.is_contiguous() or _is_channels_last(values))
        and library() is not None
    )


def count_patterns(values: Tensor, counts: Tensor, alive: Tensor) -> None:
    """Add the values of (N, C, ...) to `counts`, and mark in `alive` the channels with a value other than zero.

    Args:
        values: such that `available(values)`; float32 is rounded to bfloat16, to the nearest, ties to even.
        counts: int64 (65536,), by bit pattern; changed in place.
        alive: bool (C,); changed in place.
    Raises: ValueError if counts or alive is another than described.
    """
    channels = values.shape[1]
    for name, tensor, dtype, size in (
        ("counts", counts, torch.int64, PATTERNS),
        ("alive", alive, torch.bool, channels),
    ):
        if tensor.dtype != dtype or tensor.shape != (size,) or not tensor.is_cpu or not tensor.is_contiguous():
            raise ValueError(f"{name} must be {dtype} ({size},) on the CPU, got {tensor.dtype} {tuple(tensor.shape)}")
    inner = 1 if _is_channels_last(values) else values[0, 0].numel()
    rows = values.numel() // (channels * inner)
    pointers = (values.data_ptr(), counts.data_ptr(), alive.data_ptr())
    library().count_patterns(rows, channels, inner, values.dtype == torch.bfloat16, *pointers)


@functools.cache
def library() -> Any:
    """Return the loaded kernel with its signature declared, or None where it cannot be had."""
    loaded = load("histogram")
    if loaded is not None:
        loaded.count_patterns.argtypes = [*[ctypes.c_int64] * 3, ctypes.c_int, *[ctypes.c_void_p] * 3]
        loaded.count_patterns.restype = None
    return loaded


def _is_channels_last(values: Tensor) -> bool:
    return values.dim() == 4 and values.is_contiguous(memory_format=torch.channels_last)
