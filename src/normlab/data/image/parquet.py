"""Images in parquet files, as the `uoft-cs/cifar10` and `uoft-cs/cifar100` hub repositories and data frames hold them.

A column of encoded images (bytes, or {bytes, path}) and one of labels, whole numbers or text. Class names stand in the
schema's metadata; where there are none, the labels themselves are the names. Needs the extra `parquet` (pyarrow,
pillow). Which file belongs to which split: `parquet_layout`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from normlab.data.image.parquet_layout import find_parquet_files
from normlab.data.image.pixels import Decoded, decode_all, decode_image, require
from normlab.data.image.source import DECODING, Chunk, ImageSource, file_identity
from normlab.data.left_out import left_out_note, some
from normlab.errors import UserError
from normlab.file_kind import PARQUET, kind_of_file

DEFAULT_SIZE = 32
_ROWS = 1000  # read at once
_GENERIC_FOLDERS = ("data", "plain_text", "default", "parquet")  # the data set's own name is that of the folder above
_IMAGE_COLUMNS = ("img", "image", "images", "picture", "photo")
_LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target", "category", "y")
Label = int | str


class _Columns(NamedTuple):
    image: str
    label: str
    others: list[str]


class _Classes(NamedTuple):
    names: tuple[str, ...]
    number_of: Mapping[Label, int]
    named: bool  # False where the names are the numbers themselves


def find_parquet(path: Path, *, size: int | None, coarse: bool) -> ImageSource | None:
    """Describe the parquet files in `path`, or in the subfolder a hub repository keeps them in; None if there are none.

    Raises: UserError if training files or those to measure on are missing, a file is damaged, or the columns are not an
        image's and a label's.
    """
    layout = find_parquet_files(path)
    if layout is None:
        return None
    files = layout.files
    columns = _columns(files["train"][0], coarse)
    for file in (file for part in files.values() for file in part):
        _refuse_other_columns(file, columns)
    labels = {split: _labels(part, columns.label) for split, part in files.items()}
    unlabelled = [split for split in files if split != "train" and not _has_labels(labels[split])]
    files = {split: part for split, part in files.items() if split not in unlabelled}
    classes = _classes(files["train"][0], columns.label, [labels[split] for split in files])
    size = size or DEFAULT_SIZE
    counts = ", ".join(f"{split} {len(labels[split])}" for split in files)
    numbered = "" if classes.named else f", called by the numbers in column '{columns.label}': the files name none"
    notes = [
        f"{counts} images; {len(classes.names)} classes{numbered}",
        "" if "test" in files else "no test images: results are measured on validation images",
        *_absent(classes, {split: labels[split] for split in files}),
        left_out_note([("split without labels", split) for split in unlabelled], "splits"),
        left_out_note(layout.left_out),
        f"columns not used: {some(columns.others)}" if columns.others else "",
    ]
    identity = [file for part in files.values() for file in part]
    folder = layout.folder.resolve()
    return ImageSource(
        kind="parquet",
        name=folder.parent.name if folder.name in _GENERIC_FOLDERS else folder.name,
        classes=classes.names,
        identity={
            "parquet": file_identity(identity),
            "splits": {split: len(part) for split, part in files.items()},
            "size": size,
            "columns": [columns.image, columns.label],
            "decoding": DECODING,
        },
        chunks=lambda: _chunks(files, columns, size, classes),
        size=size,
        named_classes=classes.named,
        notes=tuple(filter(None, notes)),
    )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever pyarrow meets in a file into one line: it raises its own errors, OSError, KeyError and others."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        kind = kind_of_file(path)
        lines = str(error).strip().splitlines()
        reason = f"it holds {kind}" if kind not in ("", PARQUET) else lines[0][:200] if lines else ""
        reason = reason or type(error).__name__
        raise UserError(f"{path}: not a readable parquet file ({reason}); download it again") from error


def _open(path: Path) -> Any:
    parquet = require("pyarrow.parquet", "reading parquet files")
    with _reading(path):
        if not path.is_file():
            raise UserError(f"{path}: no regular file; remove it or give the parquet file")
        return parquet.ParquetFile(path, page_checksum_verification=True)


def _columns(path: Path, coarse: bool) -> _Columns:
    """Return the names of the image's, of the label's and of the other columns."""
    file = _open(path)
    with _reading(path):
        schema = file.schema_arrow
        names = list(schema.names)
        holds_bytes = [field.name for field in schema if _holds_bytes(str(field.type))]
        holds_labels = [
            field.name
            for field in schema
            if str(field.type).startswith(("int", "uint", "string", "large_string", "dictionary", "bool", "double"))
        ]
    image = next((name for name in _IMAGE_COLUMNS if name in names), None)
    if image is None and len(holds_bytes) == 1:
        image = holds_bytes[0]
    wanted = ("coarse_label",) if coarse else _LABEL_COLUMNS
    label = next((name for name in wanted if name in names and name != image), None)
    rest = [name for name in holds_labels if name != image]
    if label is None and not coarse and len(rest) == 1:
        label = rest[0]
    if image is None or label is None:
        missing = "'img' or 'image'" if image is None else " or ".join(map(repr, wanted[:3]))
        raise UserError(f"{path}: columns {', '.join(map(str, names))[:200]}; expected one named {missing}")
    return _Columns(image, label, [name for name in names if name not in (image, label)])


def _holds_bytes(kind: str) -> bool:
    return kind in ("binary", "large_binary") or (kind.startswith("struct<") and "bytes: " in kind)


def _refuse_other_columns(path: Path, columns: _Columns) -> None:
    names = _open(path).schema_arrow.names
    if missing := [name for name in columns[:2] if name not in names]:
        raise UserError(f"{path}: has no column '{missing[0]}', as the first training file has: make them alike")


def _labels(files: Sequence[Path], column: str) -> list[Any]:
    values: list[Any] = []
    for path in files:
        file = _open(path)
        with _reading(path):
            for batch in file.iter_batches(columns=[column]):
                values += batch[column].to_pylist()
    return values


def _has_labels(values: list[Any]) -> bool:
    """Say whether a split is labelled: hub repositories mark hidden labels with -1."""
    return any(value not in (None, -1) for value in values)


def _classes(path: Path, label: str, labels: Sequence[list[Any]]) -> _Classes:
    """Return the classes that the schema's metadata names, else the different labels, sorted."""
    if names := _names_in_metadata(path, label):
        return _Classes(names, {name: n for n, name in enumerate(names)} | {n: n for n in range(len(names))}, True)
    values = {plain for part in labels for value in part if (plain := _plain(value)) is not None}
    if not all(type(value) is type(next(iter(values))) for value in values):
        raise UserError(f"{path}: column '{label}' mixes text and numbers; use one of both for labels")
    ordered: list[Any] = sorted(values)  # all text, or all numbers
    return _Classes(
        tuple(map(str, ordered)),
        {value: number for number, value in enumerate(ordered)},
        bool(ordered) and isinstance(ordered[0], str),
    )


def _plain(value: Any) -> Label | None:
    """Return a label as text or whole number; None for anything else."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) else None


def _names_in_metadata(path: Path, label: str) -> tuple[str, ...]:
    file = _open(path)
    with _reading(path):
        metadata = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    try:
        names = json.loads(metadata)["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    whole = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if whole and len(set(names)) == len(names) else ()


def _absent(classes: _Classes, labels: Mapping[str, list[Any]]) -> Iterator[str]:
    for split, values in labels.items():
        present = {classes.number_of.get(label) for value in values if (label := _plain(value)) is not None}
        if missing := [name for number, name in enumerate(classes.names) if number not in present]:
            yield f"no {split} images of {some(missing)}"


def _chunks(files: Mapping[str, list[Path]], columns: _Columns, size: int, classes: _Classes) -> Iterator[Chunk]:
    for split, paths in files.items():
        for path in paths:
            rows = _rows(path, columns, classes)
            for batch in decode_all(rows, _decoder(size)):
                labels = np.array([row.label for row in batch.items], dtype=np.int64)
                yield Chunk(split, batch.images, labels, batch.changes, batch.failures)


class _Row(NamedTuple):
    content: bytes
    label: int
    place: str


def _decoder(size: int) -> Callable[[_Row], Decoded]:
    return lambda row: decode_image(row.content, row.place, size=size)


def _rows(path: Path, columns: _Columns, classes: _Classes) -> Iterator[_Row]:
    """Read a file a batch of rows at a time; check what stands in them."""
    number = 0
    batches = _batches(path, columns)
    for cells, values in batches:
        for cell, value in zip(cells, values, strict=True):
            where = f"{path}: row {number}"
            content = cell.get("bytes") if isinstance(cell, dict) else cell
            if not isinstance(content, bytes):
                raise UserError(f"{where}: holds no image bytes; the file must hold the images, not their paths")
            label = _plain(value)
            if label is None or label not in classes.number_of:
                known = f"0 to {len(classes.names) - 1}" if isinstance(label, int) else some(classes.names)
                raise UserError(f"{where}: label {str(value)[:40]} is not one of {known}")
            yield _Row(content, classes.number_of[label], where)
            number += 1


def _batches(path: Path, columns: _Columns) -> Iterator[tuple[list[Any], list[Any]]]:
    file = _open(path)
    with _reading(path):
        for batch in file.iter_batches(_ROWS, columns=[columns.image, columns.label]):
            yield batch[columns.image].to_pylist(), batch[columns.label].to_pylist()
