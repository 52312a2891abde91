"""Recognising what a path holds.

Each reader has a function that looks at a path and gives an `ImageSource` or None; they are asked in turn.
Opening a form nobody knew before is one reader and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from normlab.data.cifar import find_cifar
from normlab.data.image_folder import find_image_folder
from normlab.data.parquet import find_parquet
from normlab.data.source import ImageSource
from normlab.errors import UserError

LOOKED_FOR = (
    "cifar-10-batches-py/ or -bin/, cifar-100-python/ or -binary/, their .tar.gz, train-*.parquet and test-*.parquet, "
    "train/<class>/ and test/<class>/ with images, or <class>/ with images"
)


def find_source(path: Path, *, size: int | None, seed: int, coarse: bool, sums: Mapping[str, str]) -> ImageSource:
    """Return the data set at `path`.

    Raises: UserError listing what was looked for, if there is none.
    """
    path = path.expanduser()
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give a path, or one of digits, cifar10, cifar100")
    source = (
        find_cifar(path, size=size, coarse=coarse, sums=sums)
        or find_parquet(path, size=size, coarse=coarse)
        or find_image_folder(path, size=size, seed=seed)
    )
    if source is None:
        raise UserError(f"{path}: {_nothing(path)}; looked for {LOOKED_FOR}")
    return source


def _nothing(path: Path) -> str:
    if path.suffix.lower() == ".csv":
        return "a CSV holds images without labels, so it serves for prediction only"
    return "no labelled images found"
