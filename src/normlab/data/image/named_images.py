"""Images that a table names without folder and suffix: in Kaggle's `trainLabels.csv`, id 17 is `train/17.png`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from normlab.data.image.folder import SPLIT_OF
from normlab.data.image.pixels import IMAGE_SUFFIXES


def images_by_name(folder: Path, name: str) -> dict[str, Path]:
    """Return name -> image of the folder that holds an image of that name; empty if there is none.

    Looked through are the folder itself, then a folder of training images in it, then the others. Kaggle numbers
    test images by the same numbers, so that names mean something in one folder only.

    Args:
        folder: of the table.
        name: the first one in the table.
    """
    for place in _places(folder):
        images = {file.stem: file for file in sorted(place.iterdir()) if file.suffix.lower() in IMAGE_SUFFIXES}
        if name in images:
            return images
    return {}


def _places(folder: Path) -> Iterator[Path]:
    yield folder
    inner = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    inner = [entry for entry in inner if os.access(entry, os.R_OK | os.X_OK)]  # another's folder holds none of these
    yield from sorted(inner, key=lambda entry: SPLIT_OF.get(entry.name.lower()) != "train")
