"""Images for classification: one function for all forms.

`load_images("digits")`, `load_images("cifar10")` or `load_images(path)` give the same type: uint8 pixels and
labels, memory-mapped, with a fingerprint that is equal for equal pixels and labels. The form of a path is
recognised automatically.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from normlab.data.image.cache import cached
from normlab.data.image.digits import digits_source
from normlab.data.image.find import find_source
from normlab.data.image.identify import NATIVE_SIZE, Arrays, identify
from normlab.data.image.known import KNOWN, PUBLISHED_MD5
from normlab.data.image.prediction import read_images_for_prediction
from normlab.data.image.source import AUTO, ImageSource, Reading
from normlab.data.left_out import broken_note

__all__ = ["ImageDataset", "load_images", "open_source", "read_images_for_prediction"]


@dataclass(frozen=True)
class ImageDataset:
    """A data set for classification.

    Args:
        name: "digits"; "cifar10" or "cifar100" if the content is theirs; else the folder's name.
        images: by split ("train" always, "val" and "test" if given): uint8 (N, 3, H, W), memory-mapped; writing
            to it does not reach the file.
        labels: by split: int64 (N,), indices into `classes`.
        classes: class names.
        fingerprint: 16 hexadecimal digits over pixels and labels, the same whatever form they came from.
        notes: what was found, left out and changed, a line each.
        own_splits: the splits that the data name, the others were drawn here; None: as many as there are.
    """

    name: str
    images: Mapping[str, npt.NDArray[np.uint8]]
    labels: Mapping[str, npt.NDArray[np.int64]]
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    own_splits: tuple[str, ...] | None = None


def load_images(
    spec: str | os.PathLike[str],
    *,
    size: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    coarse: bool = False,
    sums: Mapping[str, str] = PUBLISHED_MD5,
    background: str = AUTO,
    draw_test: bool = True,
    skip_broken: bool = False,
) -> ImageDataset:
    """Load a data set by name or path; decoded once, then memory-mapped from the cache.

    Args:
        spec: `digits`, `cifar10`, `cifar100`, or a path: a CIFAR folder or archive (python or binary), a
            folder of parquet files, or a folder of images by class, with or without folders train, val and
            test. Write `./digits` for a folder of that name.
        size: height and width; default: 32, which is CIFAR's own. Others are resized, bilinear.
        cache_dir: where decoded data are kept; default: `NORMLAB_CACHE` or the user's cache folder.
        seed: draws the test images of a folder of images that has no test folder.
        coarse: CIFAR-100's 20 superclasses in place of its 100 classes.
        sums: MD5 by file name that official files must have.
        background: a colour under transparent pixels; AUTO: white, or black where only white would be seen.
        draw_test: False: data that name no test images have none.
        skip_broken: leave out images that cannot be decoded; a note counts and names them.
    Raises: UserError for a path that holds none of these, a wrong sum, or content that cannot be read.
    """
    reading = Reading(size, seed, coarse, sums, background, draw_test, skip_broken)
    source = open_source(spec, reading, cache_dir=cache_dir)
    entry = cached(source, cache_dir)
    if source.published:
        name, classes = source.name, source.classes
    else:

        def native() -> Arrays:
            small = open_source(spec, replace(reading, size=NATIVE_SIZE), cache_dir=cache_dir)
            return cached(small, cache_dir).images

        images = (lambda: entry.images) if source.size == NATIVE_SIZE else native
        name, classes = identify(source, images, entry.labels)
    notes = tuple(note for note in (*source.notes, entry.changed, broken_note(entry.broken)) if note)
    return ImageDataset(name, entry.images, entry.labels, classes, entry.fingerprint, notes, source.own_splits)


def open_source(
    spec: str | os.PathLike[str], reading: Reading, *, cache_dir: str | os.PathLike[str] | None = None
) -> ImageSource:
    """Recognise a data set without decoding it; see `load_images`."""
    if spec == "digits":
        return digits_source(reading.size)
    path = KNOWN[spec].find(cache_dir) if isinstance(spec, str) and spec in KNOWN else Path(spec)
    return find_source(path, reading)
