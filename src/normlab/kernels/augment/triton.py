"""Take, crop, flip and normalise uint8 images that lie on the GPU: the call of augment.cpp as a Triton kernel.

Each output position reads one byte and writes one value, so the traffic is the images once in and once out;
torch's own way pads, gathers, selects twice and converts in separate passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 512


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
    """Return (x / 255 - mean_c) / std_c of the images `index`; see `AugmentKernel.try_call`.

    All tensors are on the images' device. Indices are not checked, which would wait for it; that is the caller's.
    """
    N, (_, C, H, W) = len(index), images_nchw.shape
    out = torch.empty((N, C, H, W), dtype=dtype, device=images_nchw.device, memory_format=memory_format)
    scale, shift = _scale_and_shift(tuple(mean), tuple(std), images_nchw.device)
    draws = [index if values is None else values for values in (top, left, mirrored, upturned)]
    _crop_kernel[(N, C, triton.cdiv(H * W, _BLOCK))](
        images_nchw,
        index,
        *draws,
        scale,
        shift,
        out,
        C,
        H,
        W,
        pad,
        *out.stride(),
        CROP=top is not None,
        MIRROR=mirrored is not None,
        UPTURN=upturned is not None,
        BLOCK=_BLOCK,
    )
    return out


@lru_cache(maxsize=16)
def _scale_and_shift(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    scale = torch.tensor([1 / (255 * (s or 1)) for s in std], device=device)
    return scale, torch.tensor([-m / (s or 1) for m, s in zip(mean, std, strict=True)], device=device)


@triton.jit
def _crop_kernel(
    images,
    index,
    top,
    left,
    mirrored,
    upturned,
    scale,
    shift,
    out,
    C,
    H,
    W,
    pad,
    s_n,
    s_c,
    s_h,
    s_w,
    CROP: tl.constexpr,
    MIRROR: tl.constexpr,
    UPTURN: tl.constexpr,
    BLOCK: tl.constexpr,
):
    n = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1)
    p = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    row, column = p // W, p % W
    from_row, from_column = row, column
    if MIRROR:
        from_column = tl.where(tl.load(mirrored + n) != 0, W - 1 - from_column, from_column)
    if UPTURN:
        from_row = tl.where(tl.load(upturned + n) != 0, H - 1 - from_row, from_row)
    if CROP:
        from_row += tl.load(top + n).to(tl.int32) - pad
        from_column += tl.load(left + n).to(tl.int32) - pad
    inside = (p < H * W) & (from_row >= 0) & (from_row < H) & (from_column >= 0) & (from_column < W)
    image = images + (tl.load(index + n).to(tl.int64) * C + c) * H * W
    values = tl.load(image + from_row * W + from_column, mask=inside, other=0).to(tl.float32)
    values = values * tl.load(scale + c) + tl.load(shift + c)
    tl.store(out + n * s_n + c * s_c + row * s_h + column * s_w, values.to(out.dtype.element_ty), mask=p < H * W)
