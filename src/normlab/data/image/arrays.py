"""Images and labels as NumPy arrays: an .npz, or a folder of .npy files.

Names say what an array is, in any order and spelling that libraries use: `x_train` and `y_train`, `train_images` and
`train_labels`, `images` and `labels`. Images are (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels, in
bytes, in more bits or as floats; what range their values have is taken from all of them. Arrays are read in pieces, so
a file may be larger than the memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from normlab.data.image.array_files import StoredArray, stored_arrays
from normlab.data.image.array_pixels import Scaling, layout_of, scaling_of, to_pixels
from normlab.data.image.drawn_test import with_test
from normlab.data.image.folder import DEFAULT_SIZE, SPLIT_OF
from normlab.data.image.pixels import resize_bilinear
from normlab.data.image.source import SPLITS, Chunk, ImageSource, Reading, file_identity
from normlab.data.left_out import absent_notes, left_out_note
from normlab.errors import UserError
from normlab.plurals import plural

_IMAGES = ("images", "image", "imgs", "img", "pixels", "data", "x")
_LABELS = ("labels", "label", "targets", "target", "y")
_CLASS_NAMES = ("class_names", "label_names", "classes")
_MOST_LABELS = 100_000_000


class _Part(NamedTuple):
    """The images of one split and their labels, one a row."""

    images: StoredArray
    labels: npt.NDArray[np.generic]


def find_arrays(path: Path, reading: Reading) -> ImageSource | None:
    """Describe the arrays of images in an .npz or in a folder of .npy files; None if there are none.

    Raises: UserError for images without labels, shapes that do not fit together, or values that are no pixels.
    """
    arrays = stored_arrays(path)
    if not arrays or not any(_role(name)[0] == "images" for name in arrays):
        return None
    parts, left_out = _parts(path, arrays)
    for part in parts.values():
        layout_of(part.images)
    classes, numbers, named = _classes(path, arrays, parts)
    splits, rows, notes = _splits(path, numbers, reading)
    scaling = scaling_of([part.images for part in parts.values()])
    size = reading.size or DEFAULT_SIZE
    counts = ", ".join(f"{split} {len(chosen)}" for split, chosen in splits.items())
    return ImageSource(
        kind="NumPy arrays",
        name=path.resolve().stem if path.is_file() else path.resolve().name,
        classes=classes,
        identity={
            "arrays": file_identity(sorted({array.file for array in arrays.values()})),
            "splits": {split: [number for _, number in chosen] for split, chosen in rows.items()},
            "size": size,
            **reading.identity(),
        },
        chunks=lambda: _chunks(parts, splits, scaling, size, reading.background),
        size=size,
        named_classes=named,
        notes=tuple(
            note
            for note in (
                f"{counts} images; "
                f"{plural(len(classes), 'class', 'classes')}{'' if named else ', called by their numbers'}",
                *notes,
                scaling.note,
                *absent_notes(classes, {split: [label for _, label in chosen] for split, chosen in splits.items()}),
                left_out_note([("not images or labels", name) for name in left_out], "arrays"),
            )
            if note
        ),
        own_splits=tuple(parts) if any(_role(part.images.name)[1] for part in parts.values()) else (),
    )


def _role(name: str) -> tuple[str, str]:
    """Return what an array's name says: "images", "labels" or "", and its split, "" if it names none."""
    words = [word for word in re.split(r"[\W_]+", name.lower()) if word]
    split = next((SPLIT_OF[word] for word in words if word in SPLIT_OF), "")
    rest = [word for word in words if word not in SPLIT_OF]
    if len(rest) != 1 or len(words) > 2:
        return "", split
    return ("images" if rest[0] in _IMAGES else "labels" if rest[0] in _LABELS else ""), split


def _parts(path: Path, arrays: Mapping[str, StoredArray]) -> tuple[dict[str, _Part], list[str]]:
    """Pair images with labels, split by split; return them and the names of the other arrays."""
    chosen: dict[tuple[str, str], StoredArray] = {}
    left_out = []
    for name, array in arrays.items():
        role, split = _role(name)
        if not role:
            left_out += [name] if name not in _CLASS_NAMES else []
        elif (key := (role, split or "train")) in chosen:
            raise UserError(f"{path}: {chosen[key].name} and {name} are both {split or 'training'} {role}: keep one")
        else:
            chosen[key] = array
    parts = {}
    for split in SPLITS:
        images, labels = chosen.get(("images", split)), chosen.get(("labels", split))
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            there, missing = (images, "labels") if images is not None else (labels, "images")
            names = ", ".join(arrays)[:200]
            raise UserError(f"{path}: {there.name if there else ''} has no {missing} beside it; arrays: {names}")
        values = _plain_labels(labels)
        if len(values) != images.shape[0]:
            raise UserError(
                f"{images}: {plural(images.shape[0], 'image')}, but {plural(len(values), 'label')} in {labels.name}"
            )
        parts[split] = _Part(images, values)
    if "train" not in parts:
        raise UserError(f"{path}: no training images, only {', '.join(parts)}: name them train_images and train_labels")
    return parts, left_out


def _plain_labels(array: StoredArray) -> npt.NDArray[np.generic]:
    """Return labels as (N,) whole numbers or text."""
    if math.prod(array.shape) > _MOST_LABELS:
        raise UserError(f"{array}: shape {array.shape} holds too many values for labels")
    values = array.whole()
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "biuf" and ((values == 0) | (values == 1)).all():
        if not (values.sum(1) == 1).all():
            raise UserError(f"{array}: an image with no label or with several: one class each is learned here")
        return np.asarray(values.argmax(1))
    if values.ndim != 1:
        raise UserError(f"{array}: labels of shape {values.shape}; give one an image, (N,)")
    if values.dtype.kind == "f" and np.isfinite(values).all() and (values == values.round()).all():
        values = values.astype(np.int64)
    if values.dtype.kind not in "biuU":
        raise UserError(f"{array}: labels of type {values.dtype}; give whole numbers or text")
    return values


def _classes(
    path: Path, arrays: Mapping[str, StoredArray], parts: Mapping[str, _Part]
) -> tuple[tuple[str, ...], dict[str, npt.NDArray[np.int64]], bool]:
    """Return the classes, each part's class numbers, and whether the data name their classes."""
    kinds = {part.labels.dtype.kind == "U" for part in parts.values()}
    if len(kinds) > 1:
        raise UserError(f"{path}: labels are text in one split and numbers in another; use one of both")
    every = np.unique(np.concatenate([part.labels for part in parts.values()]))
    names = next((arrays[name] for name in _CLASS_NAMES if name in arrays), None)
    if names is not None and not kinds.pop():
        values = names.whole()
        if values.ndim != 1 or values.dtype.kind != "U":
            raise UserError(f"{names}: class names of type {values.dtype}, shape {values.shape}; give text, (classes,)")
        if len(every) and not (int(every[0]) >= 0 and int(every[-1]) < len(values)):
            raise UserError(f"{path}: labels {every[0]} to {every[-1]}, but {len(values)} {names.name}")
        numbers = {split: part.labels.astype(np.int64) for split, part in parts.items()}
        return tuple(map(str, values)), numbers, True
    numbers = {split: np.searchsorted(every, part.labels).astype(np.int64) for split, part in parts.items()}
    return tuple(str(value) for value in every.tolist()), numbers, every.dtype.kind == "U"


Chosen = list[tuple[int, int]]  # row, class


def _splits(
    path: Path, numbers: Mapping[str, npt.NDArray[np.int64]], reading: Reading
) -> tuple[dict[str, Chosen], dict[str, Chosen], list[str]]:
    """Return which rows of which part make which split, and a note.

    Returns: split -> (row of its part, class), where drawn test images have rows of the training part.
    """
    given = {split: list(enumerate(values.tolist())) for split, values in numbers.items()}
    if list(given) == ["train"]:
        splits, notes = with_test(path, given["train"], reading)
        return splits, splits, notes
    notes = [] if "test" in given else ["no test images: results are measured on validation images"]
    return given, {split: [] for split in given}, notes


def _chunks(
    parts: Mapping[str, _Part], splits: Mapping[str, Chosen], scaling: Scaling, size: int, background: str
) -> Iterator[Chunk]:
    """Read each array once, in pieces; hand each row to its split."""
    for split, part in parts.items():
        goes_to = {row: (name, label) for name in _of(split, parts, splits) for row, label in splits[name]}
        start = 0
        for piece in part.images.pieces():
            pixels = resize_bilinear(to_pixels(piece, part.images, scaling, background), size)
            rows = range(start, start + len(piece))
            for name in splits:
                places = [place for place, row in enumerate(rows) if row in goes_to and goes_to[row][0] == name]
                if places:
                    labels = np.array([goes_to[start + place][1] for place in places], dtype=np.int64)
                    yield Chunk(name, pixels[places], labels)
            start += len(piece)


def _of(part: str, parts: Mapping[str, _Part], splits: Mapping[str, Chosen]) -> list[str]:
    """Return the splits whose images lie in a part: its own, and where it is the only one also the drawn ones."""
    return list(splits) if len(parts) == 1 else [part]
