"""Images in parquet files, as the `uoft-cs/cifar10` and `uoft-cs/cifar100` hub repositories and data frames hold them.

A column of encoded images (bytes, or {bytes, path}) and one of labels, whole numbers or text. Class names stand in the
schema's metadata; where there are none, the labels themselves are the names. Needs the extra `parquet` (pyarrow,
pillow). Which file belongs to which split: `parquet_layout`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from normlab.data.image.drawn_test import with_test
from normlab.data.image.parquet_layout import find_parquet_files
from normlab.data.image.pixels import Batch, Decoded, decode_all, decode_image
from normlab.data.image.saved_dataset import find_saved_dataset
from normlab.data.image.source import Chunk, ImageSource, Reading, file_identity
from normlab.data.image.table_file import open_table, reading_table
from normlab.data.image.table_labels import (
    Classes,
    classes_of,
    has_labels,
    labels_of,
    number_of,
    plain_label,
)
from normlab.data.left_out import absent_notes, left_out_note, some
from normlab.errors import UserError
from normlab.plurals import plural

DEFAULT_SIZE = 32
_ROWS = 1000  # read at once
_GENERIC_FOLDERS = ("data", "plain_text", "default", "parquet")  # the data set's own name is that of the folder above
_IMAGE_COLUMNS = ("img", "image", "images", "picture", "photo")
_NO_LABELS = ("list", "large_list", "fixed_size", "struct", "map", "binary", "large_binary", "decimal", "date", "time")
_LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target", "category", "y")


class _Columns(NamedTuple):
    image: str
    label: str
    others: list[str]


def find_parquet(path: Path, reading: Reading) -> ImageSource | None:
    """Describe the parquet files in `path`, or in the subfolder a hub repository keeps them in; None if there are none.

    A folder that Hugging Face's `save_to_disk` wrote is read in the same way; its files are Arrow files.

    Raises: UserError if training files or those to measure on are missing, a file is damaged, or the columns are not an
        image's and a label's.
    """
    saved = find_saved_dataset(path)
    layout = saved or find_parquet_files(path)
    if layout is None:
        return None
    files = layout.files
    columns = _columns(files["train"][0], reading.coarse)
    for file in (file for part in files.values() for file in part):
        _refuse_other_columns(file, columns)
    labels = {split: labels_of(part, columns.label) for split, part in files.items()}
    if not labels["train"]:
        raise UserError(f"{files['train'][0]}: holds no rows")
    unlabelled = [split for split in files if split != "train" and not has_labels(labels[split])]
    files = {split: part for split, part in files.items() if split not in unlabelled}
    classes = classes_of(files["train"][0], columns.label, [labels[split] for split in files])
    size = reading.size or DEFAULT_SIZE
    tested, drawn = _tested(path, [number_of(classes, value) for value in labels["train"]], reading, list(files))
    counted = {**{split: len(labels[split]) for split in files}, **({"test": len(tested)} if tested else {})}
    counted["train"] -= len(tested)
    counts = ", ".join(f"{split} {count}" for split, count in counted.items())
    numbered = "" if classes.named else f", called by the numbers in column '{columns.label}': the files name none"
    notes = [
        f"{counts} images; {plural(len(classes.names), 'class', 'classes')}{numbered}",
        *drawn,
        "" if "val" not in files or "test" in files else "no test images: results are measured on validation images",
        *absent_notes(
            classes.names, {split: [number_of(classes, value) for value in labels[split]] for split in files}
        ),
        left_out_note([("split without labels", split) for split in unlabelled], "splits"),
        left_out_note(layout.left_out),
        f"columns not used: {some(columns.others)}" if columns.others else "",
    ]
    identity = [file for part in files.values() for file in part]
    folder = layout.folder.resolve()
    return ImageSource(
        kind="saved data set (Arrow)" if saved else "parquet",
        name=folder.parent.name if folder.name in _GENERIC_FOLDERS else folder.name,
        classes=classes.names,
        identity={
            "parquet": file_identity(identity),
            "splits": {split: len(part) for split, part in files.items()},
            "size": size,
            "columns": [columns.image, columns.label],
            **({"tested": sorted(tested)} if tested else {}),
            **reading.identity(),
        },
        chunks=lambda: _chunks(files, columns, classes, _decoder(size, reading.background), tested),
        size=size,
        skip_broken=reading.skip_broken,
        own_splits=tuple(files) if layout.named else (),
        named_classes=classes.named,
        notes=tuple(filter(None, notes)),
    )


def _columns(path: Path, coarse: bool) -> _Columns:
    """Return the names of the image's, of the label's and of the other columns."""
    file = open_table(path)
    with reading_table(path):
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
    if twice := next((name for name in (image, label) if names.count(name) > 1), None):
        raise UserError(f"{path}: two columns are called '{twice}'; rename one")
    kind = str(schema.field(label).type)
    if kind.startswith(_NO_LABELS):
        raise UserError(f"{path}: column '{label}' holds {kind[:40]}; labels are whole numbers or text")
    return _Columns(image, label, [name for name in names if name not in (image, label)])


def _holds_bytes(kind: str) -> bool:
    return kind in ("binary", "large_binary") or (kind.startswith("struct<") and "bytes: " in kind)


def _refuse_other_columns(path: Path, columns: _Columns) -> None:
    names = open_table(path).schema_arrow.names
    if missing := [name for name in columns[:2] if name not in names]:
        raise UserError(f"{path}: has no column '{missing[0]}', as the first training file has: make them alike")


def _tested(path: Path, labels: list[int], reading: Reading, splits: list[str]) -> tuple[frozenset[int], list[str]]:
    """Return the training rows that are drawn for testing, where nothing else is there to measure on, and a note."""
    if splits != ["train"]:
        return frozenset(), []
    parts, notes = with_test(path, list(enumerate(labels)), reading)
    return frozenset(row for row, _ in parts.get("test", [])), notes


def _chunks(
    files: Mapping[str, list[Path]],
    columns: _Columns,
    classes: Classes,
    decode: Callable[[_Row], Decoded],
    tested: frozenset[int],
) -> Iterator[Chunk]:
    for split, paths in files.items():
        for batch in decode_all(_rows(paths, columns, classes), decode):
            yield from _divided(split, batch, tested)


class _Row(NamedTuple):
    content: bytes
    label: int
    place: str
    number: int  # of the split's rows


def _divided(split: str, batch: Batch, tested: frozenset[int]) -> Iterator[Chunk]:
    """Hand the rows of a batch to their split: training rows that were drawn are tested."""
    labels = np.array([row.label for row in batch.items], dtype=np.int64)
    is_tested = np.array([split == "train" and row.number in tested for row in batch.items], dtype=bool)
    if not is_tested.any() or batch.images is None:
        yield Chunk(split, batch.images, labels, batch.changes, batch.failures)
        return
    yield Chunk("train", batch.images[~is_tested], labels[~is_tested], batch.changes, batch.failures)
    yield Chunk("test", batch.images[is_tested], labels[is_tested])


def _decoder(size: int, background: str) -> Callable[[_Row], Decoded]:
    return lambda row: decode_image(row.content, row.place, size=size, background=background)


def _rows(paths: Sequence[Path], columns: _Columns, classes: Classes) -> Iterator[_Row]:
    """Read the files of a split a batch of rows at a time; check what stands in them."""
    counted = 0
    for path in paths:
        number = 0
        for cells, values in _batches(path, columns):
            for cell, value in zip(cells, values, strict=True):
                where = f"{path}: row {number}"
                content = cell.get("bytes") if isinstance(cell, dict) else cell
                if not isinstance(content, bytes):
                    raise UserError(f"{where}: holds no image bytes{_instead_of_bytes(cell)}")
                label = plain_label(value)
                if label is None or label not in classes.number_of:
                    known = f"0 to {len(classes.names) - 1}" if isinstance(label, int) else some(classes.names)
                    raise UserError(f"{where}: label {str(value)[:40]} is not one of {known}")
                yield _Row(content, classes.number_of[label], where, counted)
                number, counted = number + 1, counted + 1


def _instead_of_bytes(cell: Any) -> str:
    """Say what a cell has where an encoded image is expected."""
    value = cell.get("path") if isinstance(cell, dict) else cell
    if value is None:
        return ": the cell is empty; remove the row"
    if isinstance(value, str):
        return "; the file must hold the images, not their paths"
    kind = "a list" if isinstance(value, list) else type(value).__name__
    return f" but {kind}; write each image as the bytes of a PNG or JPEG file, or give arrays (.npz)"


def _batches(path: Path, columns: _Columns) -> Iterator[tuple[list[Any], list[Any]]]:
    file = open_table(path)
    with reading_table(path):
        for batch in file.iter_batches(_ROWS, columns=[columns.image, columns.label]):
            yield batch[columns.image].to_pylist(), batch[columns.label].to_pylist()
