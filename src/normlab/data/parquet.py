"""Images in parquet files, as the `uoft-cs/cifar10` and `uoft-cs/cifar100` hub repositories store them.

`train-*.parquet` and `test-*.parquet` hold a column of encoded images ({bytes, path}; PNG there, WebP in
copies) and integer labels; class names stand in the schema's metadata. Decoding releases the interpreter's
lock, so a few threads share it. Needs the extra `parquet` (pyarrow, pillow).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from normlab.data.known import class_names, name_of
from normlab.data.pixels import decode_image, require
from normlab.data.source import SPLITS, Chunk, ImageSource, file_identity
from normlab.errors import UserError

DEFAULT_SIZE = 32
_ROWS = 1000  # images per chunk
_FOLDERS = (".", "plain_text", "cifar100", "data")  # where hub repositories keep their parquet files


def find_parquet(path: Path, *, size: int | None, coarse: bool) -> ImageSource | None:
    """Describe the parquet files in `path`, or in the subfolder a hub repository keeps them in; None if there are none.

    Raises: UserError if only one split is there, or the columns are not an image's and a label's.
    """
    folders = [path / name for name in _FOLDERS] if path.is_dir() else []
    files = {split: _split_files(folders, split) for split in SPLITS}
    if not any(files.values()):
        return None
    for split, other in (SPLITS, SPLITS[::-1]):
        if not files[split]:
            raise UserError(f"{path}: {other}-*.parquet without {split}-*.parquet; put both into one folder")
    size = size or DEFAULT_SIZE
    image, label = _columns(files["train"][0], coarse)
    classes = _classes(files["train"][0], label)
    return ImageSource(
        kind="parquet",
        name=name_of(classes) or path.resolve().name,
        classes=classes,
        identity={"parquet": file_identity(files["train"] + files["test"]), "size": size, "label": label},
        chunks=lambda: _chunks(files, image, label, size, len(classes)),
    )


def _split_files(folders: Sequence[Path], split: str) -> list[Path]:
    return next((found for folder in folders if (found := sorted(folder.glob(f"{split}-*.parquet")))), [])


def _open(path: Path) -> Any:
    parquet = require("pyarrow.parquet", "reading parquet files")
    try:
        return parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a readable parquet file ({error}); download it again") from error


def _columns(path: Path, coarse: bool) -> tuple[str, str]:
    """Return the names of the image's and of the label's column."""
    names = _open(path).schema_arrow.names
    image = next((name for name in ("img", "image") if name in names), None)
    labels = ("coarse_label",) if coarse else ("label", "fine_label")
    label = next((name for name in labels if name in names), None)
    if image is None or label is None:
        wanted = f"'img' or 'image' and {' or '.join(map(repr, labels))}"
        raise UserError(f"{path}: columns {', '.join(names)}; expected {wanted}")
    return image, label


def _classes(path: Path, label: str) -> tuple[str, ...]:
    """Return the class names from the schema's metadata; CIFAR's own where it has none."""
    metadata = (_open(path).schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    try:
        return tuple(json.loads(metadata)["info"]["features"][label]["names"])
    except (ValueError, KeyError, TypeError):
        return class_names({"fine_label": "cifar100", "coarse_label": "cifar100-coarse"}.get(label, "cifar10"))


def _chunks(files: dict[str, list[Path]], image: str, label: str, size: int, classes: int) -> Iterator[Chunk]:
    require("PIL.Image", "decoding images")
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        for split in SPLITS:
            for path in files[split]:
                first = 0
                for batch in _open(path).iter_batches(_ROWS, columns=[image, label]):
                    places = [f"{path}: row {first + row}" for row in range(len(batch))]
                    contents = [_content(cell, place) for cell, place in zip(batch[image], places, strict=True)]
                    decoded = pool.map(lambda content, place: decode_image(content, place, size=size), contents, places)
                    yield Chunk(split, np.stack(list(decoded)), _labels(batch[label], places, classes))
                    first += len(batch)


def _content(cell: Any, place: str) -> bytes:
    value = cell.as_py()
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise UserError(f"{place}: holds no image bytes; the file must contain the images, not only their paths")
    return content


def _labels(column: Any, places: list[str], classes: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    labels = [value if isinstance(value, int) else -1 for value in column.to_pylist()]
    for label, place in zip(labels, places, strict=True):
        if not 0 <= label < classes:
            raise UserError(f"{place}: label {label} is not one of 0 to {classes - 1}")
    return np.array(labels, dtype=np.int64)
