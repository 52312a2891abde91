"""What a reader of images hands to the cache.

A reader recognises one form of a data set and describes it cheaply as an `ImageSource`; nothing is decoded
until its `chunks` are asked for, and the cache asks only once per source and options. So a reader stays a few
functions, knows no cache, and holds a chunk in memory, not a data set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

SPLITS = ("train", "test")


class Chunk(NamedTuple):
    """Some decoded examples: images uint8 (n, 3, H, W) and labels int64 (n,) of one split, in the source's order."""

    split: str
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ImageSource:
    """A recognised data set, not yet decoded.

    Args:
        kind: the form it was found in, e.g. "cifar10-python-archive"; for people.
        name: the data set, e.g. "cifar10".
        classes: class names; a label is an index into them.
        identity: JSON-able; equal only if decoding gives the same result. The cache's key is made of it.
        chunks: decodes; every call starts anew. Raises UserError for unreadable content.
        verify: checks the published sums and returns the files it checked. Raises UserError on a difference.
    """

    kind: str
    name: str
    classes: tuple[str, ...]
    identity: dict[str, Any]
    chunks: Callable[[], Iterator[Chunk]]
    verify: Callable[[], list[str]] = list


def file_identity(paths: Iterable[Path]) -> list[list[Any]]:
    """Return [path, bytes, modification time in ns] of every file: cheap, and changed by any ordinary change."""
    rows: list[list[Any]] = []
    for path in paths:
        status = os.stat(path)
        rows.append([str(path.resolve()), status.st_size, status.st_mtime_ns])
    return rows
