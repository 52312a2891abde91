"""A folder of images by class: `train/<class>/*` and `test/<class>/*`, or `<class>/*` alone.

Classes are the folders' names, sorted. Where there is no test folder, a sixth of every class is drawn for
testing from the seed (CIFAR's own share). Images of any size are resized to a square; hidden files are
skipped. Needs Pillow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from normlab.data.pixels import IMAGE_SUFFIXES, decode_file, require
from normlab.data.source import SPLITS, Chunk, ImageSource, file_identity
from normlab.data.split import stratified_split
from normlab.errors import UserError

DEFAULT_SIZE = 32
TEST_FRACTION = 1 / 6
_FILES = 1000  # images per chunk
_SPLIT_NAMES = {"train", "test", "val", "valid", "validation", "dev"}

Examples = list[tuple[Path, int]]  # files with their labels


def find_image_folder(path: Path, *, size: int | None, seed: int) -> ImageSource | None:
    """Describe the images by class under `path`; None if there are none.

    Raises: UserError if train and test differ in classes, one of them is missing, or a class cannot be split.
    """
    if not path.is_dir():
        return None
    by_class = {name: _by_class(path / name) for name in SPLITS if (path / name).is_dir()}
    splits = _given(path, by_class) if any(by_class.values()) else _drawn(path, seed)
    if splits is None:
        return None
    classes, examples = splits
    size = size or DEFAULT_SIZE
    files = [file for split in SPLITS for file, _ in examples[split]]
    labels = {split: [label for _, label in examples[split]] for split in SPLITS}
    return ImageSource(
        kind="folder of images",
        name=path.resolve().name,
        classes=classes,
        identity={"folder": file_identity(files), "labels": labels, "size": size},
        chunks=lambda: _chunks(examples, size),
    )


def list_images(folder: Path) -> list[Path]:
    """Return the image files anywhere below `folder`, sorted by path; hidden ones are skipped."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        kept = (name for name in names if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."))
        found += [Path(parent, name) for name in kept]
    return sorted(found, key=lambda file: file.relative_to(folder).parts)


def _by_class(folder: Path) -> dict[str, list[Path]]:
    """Return class name -> its images, both sorted; folders without images are no classes."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return {name: images for name in names if (images := list_images(folder / name))}


def _given(path: Path, by_class: Mapping[str, dict[str, list[Path]]]) -> tuple[tuple[str, ...], dict[str, Examples]]:
    if missing := [split for split in SPLITS if not by_class.get(split)]:
        raise UserError(f"{path}: no {missing[0]}/<class>/ with images beside the other split; add it")
    train, test = (set(by_class[split]) for split in SPLITS)
    if train != test:
        extra = min(train ^ test)
        raise UserError(
            f"{path}: class '{extra}' is in {'train' if extra in train else 'test'}/ only; add or remove it"
        )
    classes = tuple(by_class["train"])
    return classes, {split: _examples(by_class[split]) for split in SPLITS}


def _drawn(path: Path, seed: int) -> tuple[tuple[str, ...], dict[str, Examples]] | None:
    by_class = _by_class(path)
    if not by_class:
        return None
    if by_class.keys() <= _SPLIT_NAMES:
        raise UserError(
            f"{path}: holds {', '.join(by_class)} but not both train/<class>/ and test/<class>/; rename them"
        )
    if single := [name for name, files in by_class.items() if len(files) < 2]:
        raise UserError(f"{path / single[0]}: one image cannot be split into train and test; add images")
    examples = _examples(by_class)
    parts = stratified_split([label for _, label in examples], TEST_FRACTION, seed)
    return tuple(by_class), {
        split: [examples[index] for index in part] for split, part in zip(SPLITS, parts, strict=True)
    }


def _examples(by_class: Mapping[str, list[Path]]) -> Examples:
    return [(file, label) for label, files in enumerate(by_class.values()) for file in files]


def _chunks(examples: Mapping[str, Examples], size: int) -> Iterator[Chunk]:
    require("PIL.Image", "reading images")
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        for split in SPLITS:
            for start in range(0, len(examples[split]), _FILES):
                part = examples[split][start : start + _FILES]
                images = list(pool.map(lambda example: decode_file(example[0], size=size), part))
                yield Chunk(split, np.stack(images), np.array([label for _, label in part], dtype=np.int64))
