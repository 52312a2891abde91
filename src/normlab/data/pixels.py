"""From an encoded image to uint8 pixels, channels first; and bilinear resizing.

Pillow decodes, when it is there: only folders of images and parquet files need it. Resizing of pixels that
    are arrays
already is torch's antialiased bilinear one, so that CIFAR and the digits need no Pillow.
"""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt

from normlab.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_MAGIC = {b"\x89PNG": ("PNG",), b"\xff\xd8\xff": ("JPEG",), b"RIFF": ("WEBP",)}
_MODES = {1: "L", 3: "RGB"}


def decode_image(content: bytes, place: str, *, size: int, channels: int = 3) -> npt.NDArray[np.uint8]:
    """Decode an image file's content to uint8 (channels, size, size); another size is resized, bilinear.

    Args:
        content: the bytes of a PNG, JPEG, WebP or other file that Pillow reads.
        place: the file's name, for the message.
        channels: 3 for RGB, 1 for grey.
    Raises: UserError naming the place, if it is not a readable image.
    """
    pillow = require("PIL.Image", "reading images")
    try:
        with pillow.open(io.BytesIO(content), formats=_formats(content)) as image:
            # Transparent and 16-bit images too become plain 8-bit ones.
            converted = image.convert(_MODES[channels])
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError) as error:
        reason = str(error).split("<")[0].strip() or type(error).__name__
        raise UserError(f"{place}: not a readable image ({reason}); replace or remove it") from error
    if converted.size != (size, size):
        converted = converted.resize((size, size), pillow.Resampling.BILINEAR)
    pixels = np.asarray(converted, dtype=np.uint8).reshape(size, size, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _formats(content: bytes) -> tuple[str, ...] | None:
    """Name the format by its first bytes, None for the rarer ones: trying all of them takes longer than decoding."""
    return next((formats for magic, formats in _MAGIC.items() if content.startswith(magic)), None)


def decode_file(path: Path, *, size: int, channels: int = 3) -> npt.NDArray[np.uint8]:
    """Decode an image file; see `decode_image`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check it and its permissions") from error
    return decode_image(content, str(path), size=size, channels=channels)


def resize_bilinear(images_nchw: npt.NDArray[np.floating] | npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize (N, C, H, W), values 0 to 255, to uint8 (N, C, size, size); antialiased when shrinking."""
    import torch
    import torch.nn.functional as F

    x = torch.from_numpy(np.ascontiguousarray(images_nchw, dtype=np.float32))
    y = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
    resized: npt.NDArray[np.uint8] = y.round().clamp(0, 255).to(torch.uint8).numpy()
    return resized


def require(module: str, purpose: str) -> ModuleType:
    """Import an optional module, or raise a UserError that names the extra it comes with."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"PIL": "pillow"}.get(module.split(".")[0], module.split(".")[0])
        raise UserError(f"{purpose} needs {package}, not installed: pip install 'normlab[parquet]'") from error
