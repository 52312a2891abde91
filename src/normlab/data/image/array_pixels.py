"""From arrays of any usual layout and type to uint8 pixels (N, 3, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from normlab.data.image.array_files import StoredArray
from normlab.data.image.modes import FLOAT_RANGES, WHOLE_RANGES
from normlab.data.image.source import AUTO
from normlab.errors import UserError

_CHANNELS = (1, 3, 4)
_MOST_PIXELS = 4096 * 4096  # of one image


class Scaling(NamedTuple):
    """Values from low to high become 0 to 255. It is one for all images, so that their brightness stays comparable."""

    low: float = 0.0
    high: float = 255.0
    note: str = ""


def layout_of(array: StoredArray) -> str:
    """Return the order of the axes: "NHW", "NHWC" or "NCHW".

    Raises: UserError for a shape that is no set of images.
    """
    shape = array.shape
    if len(shape) == 3:
        layout, height, width = "NHW", shape[1], shape[2]
    elif len(shape) == 4 and shape[3] in _CHANNELS:
        layout, height, width = "NHWC", shape[1], shape[2]
    elif len(shape) == 4 and shape[1] in _CHANNELS:
        layout, height, width = "NCHW", shape[2], shape[3]
    else:
        raise UserError(f"{array}: shape {shape}; images are (N, H, W), (N, H, W, C) or (N, C, H, W) with C 1, 3 or 4")
    if not 0 < height * width <= _MOST_PIXELS:
        raise UserError(f"{array}: images of {height} x {width} pixels, from 1 to {_MOST_PIXELS:,} in all are read")
    return layout


def scaling_of(arrays: Sequence[StoredArray]) -> Scaling:
    """Return how the values of all these arrays become 0 to 255; bytes stay as they are.

    Raises: UserError for values that are no finite numbers.
    """
    kinds = {array.dtype.kind for array in arrays}
    if kinds == {"b"}:
        return Scaling(high=1.0, note="truth values: black and white")
    if all(array.dtype == np.uint8 for array in arrays):
        return Scaling()
    if not kinds <= set("biuf"):
        raise UserError(f"{arrays[0]}: values of type {arrays[0].dtype}; images are whole numbers or floats")
    low, high = np.inf, -np.inf
    for array in arrays:
        for piece in array.pieces():
            if piece.size:
                low, high = min(low, float(piece.min())), max(high, float(piece.max()))
                if not np.isfinite([low, high]).all() or (array.dtype.kind == "f" and not np.isfinite(piece).all()):
                    raise UserError(f"{array}: holds values that are no finite numbers")
    if low < 0:
        return Scaling(low, high if high > low else low + 1, f"values from {low:g} to {high:g} scaled to 8 bits")
    ranges = FLOAT_RANGES if "f" in kinds else WHOLE_RANGES
    top = next((float(top) for top in ranges if high <= top), high)
    return Scaling(0.0, top, "" if top == 255 else f"values from 0 to {top:.10g} scaled to 8 bits")


def to_pixels(piece: npt.NDArray[Any], array: StoredArray, scaling: Scaling, background: str) -> npt.NDArray[np.uint8]:
    """Return a piece of an array as uint8 (n, 3, H, W); transparency is laid over the background, white for AUTO."""
    layout = layout_of(array)
    if layout == "NHW":
        piece = piece[:, None]
    elif layout == "NHWC":
        piece = np.moveaxis(piece, 3, 1)
    if piece.dtype != np.uint8:
        scaled = (piece.astype(np.float64) - scaling.low) / (scaling.high - scaling.low)
        piece = (scaled * 255).round().clip(0, 255).astype(np.uint8)
    if piece.shape[1] == 4:
        return _laid_over(piece, background)
    return np.ascontiguousarray(np.repeat(piece, 3, axis=1) if piece.shape[1] == 1 else piece)


def _laid_over(rgba_nchw: npt.NDArray[np.uint8], background: str) -> npt.NDArray[np.uint8]:
    from PIL import ImageColor

    colour = np.array(ImageColor.getrgb("white" if background == AUTO else background)[:3], dtype=np.float64)
    alpha = rgba_nchw[:, 3:].astype(np.float64) / 255
    laid = rgba_nchw[:, :3] * alpha + colour[None, :, None, None] * (1 - alpha)
    return np.asarray(laid.round(), dtype=np.uint8)
