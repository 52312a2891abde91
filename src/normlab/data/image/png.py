"""Small RGB images as PNG, with the standard library alone: pillow, which reads images, may be missing."""

from __future__ import annotations

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_bytes(pixels: np.ndarray) -> bytes:
    """Return uint8 pixels (3, H, W) as a PNG file of eight bits a channel, rows unfiltered.

    Source: PNG specification, third edition, sections 5 (chunks) and 11.2 (IHDR, IDAT, IEND).
    """
    channels, height, width = pixels.shape
    if channels != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"expected uint8 pixels (3, H, W), got {pixels.dtype} {pixels.shape}")
    rows = pixels.transpose(1, 2, 0).reshape(height, 3 * width)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)  # filter type 0 before each row
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, colour type 2: RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
