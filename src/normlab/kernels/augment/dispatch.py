"""Take, crop, flip and normalise a batch of uint8 images in one pass, on CPUs.

Torch needs a gather, a padded copy, a selection a change and a float copy a formula; the kernel reads each
byte of the batch once and writes its normalised value once, in the type and layout that the network wants.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime.build import load


def available(images_nchw: Tensor) -> bool:
    """Return whether the kernel is there and takes these images: contiguous uint8 (M, C, H, W) on a CPU."""
    return (
        type(images_nchw) is Tensor
        and images_nchw.dtype == torch.uint8
        and images_nchw.dim() == 4
        and images_nchw.is_cpu
        and images_nchw.is_contiguous()
        and images_nchw.numel() > 0
        and library() is not None
    )


def crop_flip_normalise(
    images_nchw: Tensor,
    index: Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    pad: int = 0,
    top: Tensor | None = None,
    left: Tensor | None = None,
    mirrored: Tensor | None = None,
    upturned: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> Tensor:
    """Return (x / 255 - mean_c) / std_c of the images `index`, each cropped and flipped by its own draws.

    Args:
        images_nchw: (M, C, H, W), such that `available(images_nchw)`.
        index: int64 (N,), which images to take.
        mean, std: C numbers, in units of [0, 1]; a std of 0, that of a constant channel, counts as 1.
        pad: zero bytes around an image before it is cropped.
        top, left: int64 (N,), the corner of the (H, W) crop in the padded image; `pad` is the middle. Both or
            none.
        mirrored, upturned: bool (N,), flip left and right, top and bottom; None for none.
        dtype: float32 or bfloat16.
        memory_format: contiguous or channels_last.

    Returns: (N, C, H, W) in that type and format; computed in float32 and rounded once.

    Raises:
        IndexError if an index is outside of the images.
        ValueError if a type, or the length of a draw, is another than described.
    """
    N, (M, C, H, W) = len(index), images_nchw.shape
    if N and not 0 <= int(index.min()) <= int(index.max()) < M:
        raise IndexError(f"an index lies outside of the {M} images")
    if (top is None) != (left is None) or dtype not in (torch.float32, torch.bfloat16):
        raise ValueError("top and left go together, and dtype is float32 or bfloat16")
    draws = [_row(numbers, torch.int64, N) for numbers in (index, top, left)]
    draws += [_row(flips, torch.bool, N) for flips in (mirrored, upturned)]
    tables = _tables(tuple(mean), tuple(std), dtype)
    if len(tables) != C:
        raise ValueError(f"mean and std have {len(tables)} numbers for {C} channels")
    out = torch.empty((N, C, H, W), dtype=dtype, memory_format=memory_format)
    library().crop_flip_normalise(
        N,
        C,
        H,
        W,
        pad,
        dtype == torch.bfloat16,
        memory_format == torch.channels_last,
        images_nchw.data_ptr(),
        *(None if draw is None else draw.data_ptr() for draw in draws),
        tables.data_ptr(),
        out.data_ptr(),
    )
    return out


@functools.cache
def library() -> Any:
    """Return the loaded kernel with its signature declared, or None where it cannot be had."""
    loaded = load("augment")
    if loaded is not None:
        loaded.crop_flip_normalise.argtypes = [
            *[ctypes.c_int64] * 5,
            *[ctypes.c_int] * 2,
            *[ctypes.c_void_p] * 8,
        ]
        loaded.crop_flip_normalise.restype = None
    return loaded


@functools.lru_cache(maxsize=16)
def _tables(mean: tuple[float, ...], std: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    """Return (C, 256): the normalised value of each byte in each channel."""
    scale = torch.tensor([1 / (255 * (s or 1)) for s in std])[:, None]
    shift = torch.tensor([-m / (s or 1) for m, s in zip(mean, std, strict=True)])[:, None]
    return (torch.arange(256, dtype=torch.float32) * scale + shift).to(dtype)


def _row(draw: Tensor | None, dtype: torch.dtype, count: int) -> Tensor | None:
    if draw is None:
        return None
    if draw.dtype != dtype or draw.shape != (count,) or not draw.is_cpu:
        raise ValueError(f"a draw must be {dtype} ({count},) on the CPU, got {draw.dtype} {tuple(draw.shape)}")
    return draw.contiguous()
