"""What a reader of images returns to the cache.

A reader recognises one form of a data set and describes it cheaply as an `ImageSource`; nothing is decoded
until its `chunks` are asked for, and the cache asks only once per source and options. So a reader stays a few
functions, knows no cache, and holds a chunk in memory, not a data set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

AUTO = "auto"
COLOURS = ("white", "black", "grey")  # of backgrounds
DECODING = 2  # part of every identity of encoded images: raised when an image may decode to other pixels
SPLITS = ("train", "val", "test")  # a source has the first one, and those of the others that it was given


class Chunk(NamedTuple):
    """Some decoded examples of one split, in the source's order.

    Args:
        images: uint8 (n, 3, H, W); None if none of them could be decoded.
        labels: int64 (n,).
        changes: what was done to single images beside resizing them, a phrase for each.
        failures: a line for each image that could not be decoded.
    """

    split: str
    images: npt.NDArray[np.uint8] | None
    labels: npt.NDArray[np.int64]
    changes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """How labelled images are to be read; a reader ignores what its form has no use for.

    Args:
        size: height and width to resize to; None: the form's own.
        seed: draws test images where there are none.
        coarse: CIFAR-100's 20 superclasses in place of its 100 classes.
        sums: MD5 by file name that official files must have.
        background: a colour under transparent pixels, or AUTO: white, and black where only white would be seen.
        draw_test: draw a sixth of every class for testing where the data have neither test nor validation images.
        skip_broken: leave out images that cannot be decoded, and say how many.
    """

    size: int | None = None
    seed: int = 0
    coarse: bool = False
    sums: Mapping[str, str] = field(default_factory=dict)
    background: str = AUTO
    draw_test: bool = True
    skip_broken: bool = False

    def identity(self) -> dict[str, Any]:
        """Return what of it changes the pixels of encoded images; entries made before it existed keep their keys."""
        return {"decoding": DECODING} | ({} if self.background == AUTO else {"background": self.background})


@dataclass(frozen=True)
class ImageSource:
    """A recognised data set, not yet decoded.

    Args:
        kind: the form it was found in, e.g. "cifar10-python-archive"; for people.
        name: the data set, e.g. "cifar10".
        classes: class names; a label is an index into them.
        identity: JSON-able; equal only if decoding gives the same result. The cache's key is made of it.
        size: height and width that it decodes to.
        chunks: decodes; every call starts anew. Raises UserError for unreadable content.
        verify: checks the published sums and returns the files it checked. Raises UserError on a difference.
        published: whether the name is that of a published data set because its files say so (form and sums), or it
            ships with normlab. Others get such a name by their pixels alone, see `identify`.
        named_classes: whether the data themselves name their classes; False where the classes are numbers only.
        notes: what was found and what was left out, for people.
        own_splits: the splits that the data name; None: as many as they have images of. Others were drawn here.
        skip_broken: leave out what cannot be decoded.
    """

    kind: str
    name: str
    classes: tuple[str, ...]
    identity: dict[str, Any]
    chunks: Callable[[], Iterator[Chunk]]
    verify: Callable[[], list[str]] = list
    size: int = 32
    published: bool = False
    named_classes: bool = True
    notes: tuple[str, ...] = ()
    own_splits: tuple[str, ...] | None = None
    skip_broken: bool = False


def file_identity(paths: Iterable[Path]) -> list[list[Any]]:
    """Return what changes whenever a file's content does: path, bytes, inode and times.

    Copying tools and `touch` set a modification time back; the time of change (ctime) nobody can.
    """
    rows: list[list[Any]] = []
    for path in paths:
        status = os.stat(path)
        rows.append([str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino])
    return rows


def is_colour(name: str) -> bool:
    """Say whether a background is a colour: white, black, grey, or red, green and blue as #rrggbb."""
    return name in COLOURS or re.fullmatch("#[0-9a-fA-F]{6}", name) is not None
