"""Unlabelled images for a trained network, one at a time: a CSV, an image file, or a folder of images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from normlab.data.course_csv import read_csv_images
from normlab.data.image_folder import list_images
from normlab.data.pixels import IMAGE_SUFFIXES, decode_file
from normlab.errors import UserError

Named = tuple[str, npt.NDArray[np.uint8]]


def read_images_for_prediction(path: str | os.PathLike[str], *, size: int, channels: int = 3) -> Iterator[Named]:
    """Yield (name, uint8 array (channels, size, size)) in constant memory.

    Args:
        path: the course's CSV (names are row numbers from 0), one image (its file name), or a folder,
            searched with all its subfolders in sorted order (paths below it).
        size: height and width that the network reads.
        channels: 3 for RGB, 1 for grey.
    Raises: UserError, at the call, for a path that holds none of these; while reading, for a bad row or
        image.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give a CSV, an image or a folder of images")
    if path.is_dir():
        files = list_images(path)
        if not files:
            raise UserError(f"{path}: no images in it (looked for {' '.join(IMAGE_SUFFIXES)})")
        return ((file.relative_to(path).as_posix(), decode_file(file, size=size, channels=channels)) for file in files)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return iter([(path.name, decode_file(path, size=size, channels=channels))])
    if path.suffix.lower() in (".csv", ".txt"):
        rows = read_csv_images(path, size=size, channels=channels)
        return ((str(index), image) for index, image in enumerate(rows))
    raise UserError(f"{path}: neither a .csv, an image ({' '.join(IMAGE_SUFFIXES)}), nor a folder of images")
