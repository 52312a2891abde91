"""Unlabelled images for a trained network, one at a time: a CSV, an image file, or a folder of images."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from normlab.data.image.course_csv import read_csv_images
from normlab.data.image.folder_scan import reason_against, scan_images
from normlab.data.image.pixels import IMAGE_SUFFIXES, decode_file, quiet_pillow
from normlab.data.image.source import AUTO
from normlab.data.left_out import left_out_note
from normlab.errors import UserError
from normlab.file_kind import kind_of_file
from normlab.plurals import plural

Named = tuple[str, npt.NDArray[np.uint8]]


class UnlabelledImage(NamedTuple):
    """One input: uint8 (channels, size, size) and what was changed in it; or no pixels and the reason."""

    name: str
    pixels: npt.NDArray[np.uint8] | None
    change: str = ""
    error: str = ""


def read_images_for_prediction(path: str | os.PathLike[str], *, size: int, channels: int = 3) -> Iterator[Named]:
    """Yield (name, uint8 array (channels, size, size)) as `read_unlabelled` does, refusing an unreadable image.

    Raises: UserError as `read_unlabelled`, and for a bad image in a folder.
    """
    images = read_unlabelled(path, size=size, channels=channels)
    return (_named(image, Path(path)) for image in images)


def _named(image: UnlabelledImage, path: Path) -> Named:
    if image.pixels is None:
        raise UserError(f"{path / image.name}: {image.error}")
    return image.name, image.pixels


def read_unlabelled(
    path: str | os.PathLike[str], *, size: int, channels: int = 3, background: str = AUTO
) -> Iterator[UnlabelledImage]:
    """Yield the images of a path in constant memory; in a folder an unreadable one comes without pixels.

    Args:
        path: the course's CSV (names are row numbers from 0), one image (its file name), or a folder,
            searched with all its subfolders in sorted order (paths below it).
        size: height and width that the network reads.
        channels: 3 for RGB, 1 for grey.
        background: under transparent pixels, as the network was trained with.
    Raises: UserError, at the call, for a path that holds none of these; while reading, for a bad row or a lone bad
        image.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = scan_images(path).images
        if not files:
            raise UserError(f"{path}: no images in it (looked for {' '.join(IMAGE_SUFFIXES)}){_beside(path)}")
        return (_read_one(path, file, size, channels, background) for file in files)
    _refuse_non_files(path)
    if path.suffix.lower() in (".csv", ".txt"):
        rows = read_csv_images(path, size=size, channels=channels)
        return (UnlabelledImage(str(index), image) for index, image in enumerate(rows))
    if reason_against(path) in ("", "hidden"):
        with quiet_pillow():
            decoded = decode_file(path, size=size, channels=channels, background=background)
        return iter([UnlabelledImage(path.name, *decoded)])
    kind = kind_of_file(path)
    holds = f": it holds {kind}" if kind else ""
    raise UserError(f"{path}: neither a .csv, an image ({' '.join(IMAGE_SUFFIXES)}), nor a folder of images{holds}")


def describe_input(path: str | os.PathLike[str]) -> str:
    """Say in a few words what is read for prediction and what is left out; "" for a single file."""
    path = Path(path).expanduser()
    if not path.is_dir():
        return ""
    images, left_out = scan_images(path)
    note = left_out_note(left_out)
    return f"a folder of {plural(len(images), 'image')}" + (f"; {note}" if note else "")


def _read_one(folder: Path, file: Path, size: int, channels: int, background: str) -> UnlabelledImage:
    name = file.relative_to(folder).as_posix()
    try:
        with quiet_pillow():
            decoded = decode_file(file, size=size, channels=channels, background=background)
            return UnlabelledImage(name, *decoded)
    except UserError as error:
        return UnlabelledImage(name, None, error=str(error).removeprefix(f"{file}: "))


def _refuse_non_files(path: Path) -> None:
    if path.is_file():
        return
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path}: a dead link; give a CSV, an image or a folder of images")
    if path.exists():
        raise UserError(f"{path}: no regular file; give a CSV, an image or a folder of images")
    raise UserError(f"{path}: no such file or folder; give a CSV, an image or a folder of images")


def _beside(path: Path) -> str:
    note = left_out_note(scan_images(path).left_out)
    return f"; {note}" if note else ""
