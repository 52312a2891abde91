"""Take, crop, flip and normalise a batch of uint8 images in one pass, where they lie: augment.cpp on CPUs, else Triton.

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

from normlab.kernels.runtime import gpu, guards
from normlab.kernels.runtime.build import load
from normlab.kernels.runtime.kernel import Kernel
from normlab.plurals import plural


class AugmentKernel(Kernel):
    """`AUGMENT.try_call(images, index, mean=..., std=..., ...)` -> normalised crops of the images `index`."""

    has_triton = True

    def try_call(  # type: ignore[override]
        self,
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
    ) -> Tensor | None:
        """Return (x / 255 - mean_c) / std_c of the images `index`, each cropped and flipped by its own draws.

        Args:
            images_nchw: (M, C, H, W), contiguous uint8, not empty; the other tensors are on the same device.
            index: int64 (N,), which images to take.
            mean, std: C numbers, in units of [0, 1]; a std of 0, that of a constant channel, counts as 1.
            pad: zero bytes around an image before it is cropped.
            top, left: int64 (N,), the corner of the (H, W) crop in the padded image; `pad` is the middle. Both or
                none.
            mirrored, upturned: bool (N,), flip left and right, top and bottom; None for none.
            dtype: float32 or bfloat16.
            memory_format: contiguous or channels_last.

        Returns: (N, C, H, W) in that type and format; computed in float32 and rounded once.

        Raises (on a CPU; on a GPU values are not read, which would wait for the device):
            IndexError if an index is outside of the images.
            ValueError if a type, or the length of a draw, is another than described.
        """
        if torch.compiler.is_compiling() or not _takes(images_nchw):
            return self.refuse(images_nchw)
        run = gpu.triton_module("augment").crop_flip_normalise if images_nchw.is_cuda else crop_flip_normalise
        draws = {"top": top, "left": left, "mirrored": mirrored, "upturned": upturned}
        result: Tensor = run(
            images_nchw, index, mean=mean, std=std, pad=pad, **draws, dtype=dtype, memory_format=memory_format
        )
        return result

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)

    def example_options(self) -> dict[str, Any]:
        """See `Kernel.example_options`."""
        return {"mean": (0.5,), "std": (0.5,)}


def crop_flip_normalise(
    images_nchw: Tensor,
    index: Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    pad: int,
    top: Tensor | None,
    left: Tensor | None,
    mirrored: Tensor | None,
    upturned: Tensor | None,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
) -> Tensor:
    """Call augment.cpp; the arguments are those of `AugmentKernel.try_call`."""
    N, (M, C, H, W) = len(index), images_nchw.shape
    if N and not 0 <= int(index.min()) <= int(index.max()) < M:
        raise IndexError(f"an index lies outside of the {M} images")
    if (top is None) != (left is None) or dtype not in (torch.float32, torch.bfloat16):
        raise ValueError("top and left go together, and dtype is float32 or bfloat16")
    draws = [_checked(numbers, torch.int64, N) for numbers in (index, top, left)]
    draws += [_checked(flips, torch.bool, N) for flips in (mirrored, upturned)]
    tables = _tables(tuple(mean), tuple(std), dtype)
    if len(tables) != C:
        raise ValueError(f"mean and std have {plural(len(tables), 'number')} for {C} channels")
    out = torch.empty((N, C, H, W), dtype=dtype, memory_format=memory_format)
    _library().crop_flip_normalise(
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


def _takes(images_nchw: Tensor) -> bool:
    return (
        images_nchw.dtype == torch.uint8
        and images_nchw.dim() == 4
        and images_nchw.is_contiguous()
        and images_nchw.numel() > 0
        and guards.allows_kernel(images_nchw)
        and (not gpu.reason_against() if images_nchw.is_cuda else images_nchw.is_cpu and _library() is not None)
    )


@functools.cache
def _library() -> Any:
    """Return the loaded library with its signature declared, or None where it is unavailable."""
    library = load("augment")
    if library is not None:
        library.crop_flip_normalise.argtypes = [
            *[ctypes.c_int64] * 5,
            *[ctypes.c_int] * 2,
            *[ctypes.c_void_p] * 8,
        ]
        library.crop_flip_normalise.restype = None
    return library


@functools.lru_cache(maxsize=16)
def _tables(mean: tuple[float, ...], std: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    """Return (C, 256): the normalised value of each byte in each channel."""
    scale = torch.tensor([1 / (255 * (s or 1)) for s in std])[:, None]
    shift = torch.tensor([-m / (s or 1) for m, s in zip(mean, std, strict=True)])[:, None]
    return (torch.arange(256, dtype=torch.float32) * scale + shift).to(dtype)


def _checked(draw: Tensor | None, dtype: torch.dtype, count: int) -> Tensor | None:
    if draw is None:
        return None
    if draw.dtype != dtype or draw.shape != (count,) or not draw.is_cpu:
        raise ValueError(f"a draw must be {dtype} ({count},) on the CPU, got {draw.dtype} {tuple(draw.shape)}")
    return draw.contiguous()


AUGMENT = AugmentKernel("augmentation", "augment")
