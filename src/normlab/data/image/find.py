"""Recognising the form of the images at a path.

Each reader has a function that looks at a path and gives an `ImageSource` or None; they are asked in turn.
A new form needs one reader and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from normlab.data.image.cifar import find_cifar
from normlab.data.image.folder import find_image_folder
from normlab.data.image.folder_scan import scan_images
from normlab.data.image.parquet import find_parquet
from normlab.data.image.source import ImageSource
from normlab.data.left_out import left_out_note
from normlab.errors import UserError
from normlab.file_kind import PACKED, kind_of_file

LOOKED_FOR = (
    "cifar-10-batches-py/ or -bin/, cifar-100-python/ or -binary/, their .tar.gz, train*.parquet and test*.parquet, "
    "train/<class>/ and val/<class>/ or test/<class>/ with images, or <class>/ with images"
)


def find_source(path: Path, *, size: int | None, seed: int, coarse: bool, sums: Mapping[str, str]) -> ImageSource:
    """Return the data set at `path`.

    Raises: UserError listing what was looked for, if there is none.
    """
    path = path.expanduser()
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: a dead link; give a path that is there")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: no regular file and no folder; give a path to one")
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give a path, or one of digits, cifar10, cifar100")
    try:
        source = (
            find_cifar(path, size=size, coarse=coarse, sums=sums)
            or find_parquet(path, size=size, coarse=coarse)
            or find_image_folder(path, size=size, seed=seed)
        )
    except OSError as error:
        unreadable = error.filename or path
        raise UserError(f"{unreadable}: cannot be read ({error.strerror}); check it and its permissions") from error
    if source is None:
        raise UserError(f"{path}: {_nothing(path)}; looked for {LOOKED_FOR}")
    return source


def _nothing(path: Path) -> str:
    if path.suffix.lower() == ".csv":
        return "a CSV holds images without labels, so it serves for prediction only"
    if path.is_file():
        kind = kind_of_file(path)
        advice = " (unpack it and give the folder)" if kind in PACKED else ""
        return f"one file that holds {kind}{advice}, no labelled images" if kind else "no labelled images found"
    scan = scan_images(path)
    problem = (
        f"{len(scan.images)} images but none in a folder of its class" if scan.images else "no labelled images found"
    )
    note = left_out_note(scan.left_out)
    return f"{problem} ({note})" if note else problem
