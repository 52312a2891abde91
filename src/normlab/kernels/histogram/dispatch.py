"""Count how often each bfloat16 value occurs in a map, and which channels are ever other than zero, on CPUs.

`torch.bincount` wants its input as integers, four times the map's memory; the kernel reads the map once where it lies.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Literal

import torch
from torch import Tensor

from normlab.kernels.runtime import guards
from normlab.kernels.runtime.build import load
from normlab.kernels.runtime.kernel import Kernel

PATTERNS = 1 << 16


class HistogramKernel(Kernel):
    """`HISTOGRAM.try_call(values, counts, alive)` -> True where the values were counted."""

    def try_call(self, values: Tensor, counts: Tensor, alive: Tensor) -> Literal[True] | None:
        """Add the values of (N, C, ...) to `counts`, and mark in `alive` the channels with a value other than zero.

        Args:
            values: dense float32 or bfloat16, not empty; float32 is rounded to bfloat16, to the nearest, ties to even.
            counts: int64 (65536,), by bit pattern; changed in place.
            alive: bool (C,); changed in place.
        Raises: ValueError if counts or alive is another than described.
        """
        if torch.compiler.is_compiling() or not _takes(values):
            return self.refuse(values)
        channels = values.shape[1]
        for name, tensor, dtype, size in (
            ("counts", counts, torch.int64, PATTERNS),
            ("alive", alive, torch.bool, channels),
        ):
            if tensor.dtype != dtype or tensor.shape != (size,) or not tensor.is_cpu or not tensor.is_contiguous():
                got = f"got {tensor.dtype} {tuple(tensor.shape)}"
                raise ValueError(f"{name} must be {dtype} ({size},) on the CPU, {got}")
        inner = 1 if _is_channels_last(values) else values[0, 0].numel()
        rows = values.numel() // (channels * inner)
        pointers = (values.data_ptr(), counts.data_ptr(), alive.data_ptr())
        _library().count_patterns(rows, channels, inner, values.dtype == torch.bfloat16, *pointers)
        return True

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return torch.zeros(1, 1), torch.zeros(PATTERNS, dtype=torch.int64), torch.zeros(1, dtype=torch.bool)


def _takes(values: Tensor) -> bool:
    return (
        values.dtype in (torch.float32, torch.bfloat16)
        and values.dim() >= 2
        and values.is_cpu
        and values.numel() > 0
        and (values.is_contiguous() or _is_channels_last(values))
        and guards.allows_kernel(values)
        and _library() is not None
    )


@functools.cache
def _library() -> Any:
    """Return the loaded library with its signature declared, or None where it is unavailable."""
    library = load("histogram")
    if library is not None:
        library.count_patterns.argtypes = [*[ctypes.c_int64] * 3, ctypes.c_int, *[ctypes.c_void_p] * 3]
        library.count_patterns.restype = None
    return library


def _is_channels_last(values: Tensor) -> bool:
    return values.dim() == 4 and values.is_contiguous(memory_format=torch.channels_last)


HISTOGRAM = HistogramKernel("histogram", "histogram")
