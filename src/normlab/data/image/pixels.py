"""From an encoded image to uint8 pixels, channels first; and bilinear resizing.

Pillow decodes, where it is installed: only image files and parquet need it. Pixels that are arrays already are resized
by torch, bilinear and antialiased, so that CIFAR and the digits need no Pillow.
"""

from __future__ import annotations

import importlib
import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from normlab.data.image.modes import plain_image
from normlab.data.image.source import AUTO
from normlab.errors import UserError
from normlab.file_kind import HEAD, kind_of

Item = TypeVar("Item")

IMAGE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".tga", ".qoi"),
)
ADVICE = "replace or remove it"  # for an image that cannot be read
LARGEST_FILE = 300 << 20  # bytes: more than `MAX_PIXELS` take without compression
MAX_PIXELS = 89_478_485  # where Pillow begins to warn: a quarter of a gibibyte as RGB
# None of Pillow's other formats: some start other programs (EPS: Ghostscript), some hold no pixels.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "AVIF", "MPO", "JPEG2000", "QOI", "TGA", "ICO")
_MAGIC = {b"\x89PNG": ("PNG",), b"\xff\xd8\xff": ("JPEG",), b"RIFF": ("WEBP",)}
_KINDS = {"PNG", "JPEG", "WEBP", "GIF", "TIFF", "AVIF", "JPEG2000", "QOI"}  # those that their first bytes give away
_THREADS = 8  # at most; the number of cores, if smaller


class Decoded(NamedTuple):
    """An image as uint8 (C, H, W), and what was changed to get there beside its size, "" if nothing."""

    pixels: npt.NDArray[np.uint8]
    change: str = ""


class Batch(NamedTuple):
    """Some decoded images: the items that they came from, uint8 (N, C, H, W), what was changed, and what failed."""

    items: tuple[Any, ...]
    images: npt.NDArray[np.uint8] | None  # None if every item failed
    changes: tuple[str, ...]
    failures: tuple[str, ...]


def decode_image(content: bytes, where: str, *, size: int, channels: int = 3, background: str = AUTO) -> Decoded:
    """Decode an image file's content to uint8 (channels, size, size); another size is resized, bilinear.

    What `image_modes` says is done to images of more bits, transparency or an EXIF orientation.

    Args:
        content: the bytes of a PNG, JPEG, WebP or other file that Pillow reads.
        place: the file's name, for the message.
        channels: 3 for RGB, 1 for grey.
        background: under transparent pixels, see `modes.plain_image`.
    Raises: UserError naming the place, if it is not a readable image or has more than `MAX_PIXELS`.
    """
    pillow = require("PIL.Image", "reading images")
    try:
        with pillow.open(io.BytesIO(content), formats=_formats_for(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS:,} in all are read")
            plain, change = plain_image(image, channels, background)
        if plain.size != (size, size):
            plain = plain.resize((size, size), pillow.Resampling.BILINEAR)
        pixels = np.asarray(plain, dtype=np.uint8).reshape(size, size, channels)
    except Exception as error:  # a damaged image raises anything: struct.error, IndexError, MemoryError, zlib.error
        raise UserError(f"{where}: not a readable image ({_reason(error, content)}); {ADVICE}") from error
    return Decoded(np.ascontiguousarray(pixels.transpose(2, 0, 1)), change)


def _reason(error: Exception, content: bytes) -> str:
    kind = kind_of(content[:HEAD])
    if kind and type(error).__name__ == "UnidentifiedImageError":
        readable = any(word in _KINDS for word in kind.split()[1:2]) and len(content) > HEAD
        return f"holds {kind}" + (", which is damaged or which this Pillow cannot read" if readable else "")
    text = " ".join(str(error).split("<")[0].split())
    return text or type(error).__name__


@cache
def readable_formats() -> tuple[str, ...]:
    """Return the names of the image formats that this Pillow reads, out of those that we let it."""
    pillow = require("PIL.Image", "reading images")
    pillow.init()
    return tuple(name for name in _FORMATS if name in pillow.OPEN)


def _formats_for(content: bytes) -> tuple[str, ...]:
    """Name the format by its first bytes; for the rarer ones all, though trying them takes longer than decoding."""
    return next((formats for magic, formats in _MAGIC.items() if content.startswith(magic)), readable_formats())


def is_image(head: bytes) -> bool:
    """Say whether a file that begins so is an image that can be read, whatever its name ends in."""
    words = kind_of(head).removesuffix(" image").replace("JPEG 2000", "JPEG2000").split()
    return len(words) == 2 and words[1].upper() in _KINDS.intersection(readable_formats())


def decode_file(path: Path, *, size: int, channels: int = 3, background: str = AUTO) -> Decoded:
    """Decode an image file; see `decode_image`."""
    if not path.is_file():  # a pipe would wait for its writer
        reason = "a dead link" if path.is_symlink() else "no regular file" if path.exists() else "no such file"
        raise UserError(f"{path}: {reason}; {ADVICE}")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{path}: larger than {LARGEST_FILE >> 20} MB; {ADVICE}")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check it and its permissions") from error
    return decode_image(content, str(path), size=size, channels=channels, background=background)


def decode_all(items: Iterable[Item], decode: Callable[[Item], Decoded]) -> Iterator[Batch]:
    """Decode many images in a few threads; yield them in order, stacked, with the items that they came from.

    An image that cannot be decoded is left out and its message is among the `failures`. Decoders release the
    interpreter's lock. A task is a hundred images, because handing over one costs a thread about as much as decoding
    a small one.
    """

    def decode_part(part: tuple[Item, ...]) -> Batch:
        readable, pixels, changes, failures = list[Item](), list[npt.NDArray[np.uint8]](), list[str](), list[str]()
        for item in part:
            try:
                decoded = decode(item)
            except UserError as error:
                failures.append(str(error))
                continue
            readable.append(item)
            pixels.append(decoded.pixels)
            if decoded.change:
                changes.append(decoded.change)
        return Batch(tuple(readable), np.stack(pixels) if pixels else None, tuple(changes), tuple(failures))

    with ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS)) as pool:
        parts = _parts(iter(items), 100)
        # As many parts as threads at once: memory stays bounded.
        while group := list(islice(parts, _THREADS)):
            with quiet_pillow() as warned:
                batches = list(pool.map(decode_part, group))
            yield from batches[:-1]
            yield batches[-1]._replace(changes=(*batches[-1].changes, *warned))


@contextmanager
def quiet_pillow() -> Iterator[list[str]]:
    """Keep Pillow's warnings off the screen; yield a list that holds them, a line each, when the block has ended."""
    told = list[str]()
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", module=r"PIL\.")
        yield told
    for warning in caught:
        if "PIL" in Path(warning.filename).parts:
            told.append(f"Pillow warns: {' '.join(str(warning.message).split())[:100]}")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _parts(items: Iterator[Item], size: int) -> Iterator[tuple[Item, ...]]:
    while part := tuple(islice(items, size)):
        yield part


def resize_bilinear(images_nchw: npt.NDArray[np.floating] | npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize (N, C, H, W), values 0 to 255, to uint8 (N, C, size, size); antialiased when shrinking."""
    import torch
    import torch.nn.functional as F

    resized = np.empty((*images_nchw.shape[:2], size, size), dtype=np.uint8)
    for start in range(0, len(images_nchw), 1000):  # as float32 they take four times the memory
        part = slice(start, start + 1000)
        x = torch.from_numpy(np.ascontiguousarray(images_nchw[part], dtype=np.float32))
        y = F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False, antialias=True)
        resized[part] = y.round().clamp(0, 255).to(torch.uint8).numpy()
    return resized


def require(module: str, purpose: str) -> ModuleType:
    """Import an optional module, or raise a UserError that names the extra it comes with."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"PIL": "pillow"}.get(module.split(".")[0], module.split(".")[0])
        raise UserError(f"{purpose} needs {package}, not installed: pip install 'normlab[parquet]'") from error
