"""A table that names images and their classes: CSV, TSV or parquet with columns `path`, `label` and perhaps `split`.

Paths are relative to the table's own folder; a column `id` names images without folder and suffix. Without a column
`split` a sixth of every class is drawn for testing. An image may stand in one split only, with one label: otherwise it
would be trained on and tested.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from normlab.data.image.drawn_test import with_test
from normlab.data.image.folder import DEFAULT_SIZE, SPLIT_OF, chunks_of_files
from normlab.data.image.named_images import images_by_name
from normlab.data.image.pixels import require
from normlab.data.image.source import SPLITS, ImageSource, Reading, file_identity
from normlab.data.image.table_file import most_rows, open_table, reading_table
from normlab.data.left_out import absent_notes, some
from normlab.data.text.csv_rows import csv_header, decoded_lines
from normlab.errors import UserError
from normlab.plurals import plural

PATH_COLUMNS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img")
ID_COLUMNS = ("id", "image_id", "img_id")  # taken for names of images where there are images of these names
LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "y")
SPLIT_COLUMNS = ("split", "set", "subset", "partition")
_GENERIC = (
    "manifest",
    "metadata",
    "labels",
    "data",
    "index",
    "train",
    "images",
    "trainlabels",
    "train_labels",
)  # names that say nothing
_DELIMITERS = (",", ";", "\t", "|")


class _Row(NamedTuple):
    place: str
    path: str
    label: str
    split: str


class _Columns(NamedTuple):
    path: str
    label: str
    split: str | None
    delimiter: str = ","

    @property
    def holds_ids(self) -> bool:
        """Whether images are named without folder and suffix."""
        return self.path.strip().lower() in ID_COLUMNS


def find_manifest(path: Path, reading: Reading) -> ImageSource | None:
    """Describe the images that a table names; None if the path is no table with columns of paths and labels.

    Raises: UserError naming the row that has no path, no label, an unknown split, or an image of another row's split.
    """
    columns = _columns(path)
    if columns is None:
        return None
    require("PIL.Image", "reading images")
    rows, notes = _distinct(_rows(path, columns))
    if not rows:
        raise UserError(f"{path}: no rows below the header; list an image in each")
    by_name = images_by_name(path.parent, rows[0].path) if columns.holds_ids else {}
    classes, numeric = _classes(rows)
    number_of = {name: number for number, name in enumerate(classes)}
    examples: dict[str, list[tuple[Path, int]]] = {}
    for split in SPLITS:
        if part := [
            (_file(path.parent, row.path, by_name), number_of[row.label]) for row in rows if row.split == split
        ]:
            examples[split] = part
    _refuse_if_none_exists(path, examples)
    if "train" not in examples:
        raise UserError(f"{path}: no row has the {columns.split} 'train', only {', '.join(examples)}: name some so")
    own = tuple(examples) if columns.split else ()
    if list(examples) == ["train"]:
        examples, drawn = with_test(path, examples["train"], reading)
        notes += drawn
    elif "test" not in examples:
        notes.append("no test images: results are measured on validation images")
    labels = {split: [label for _, label in part] for split, part in examples.items()}
    counts = ", ".join(f"{split} {len(part)}" for split, part in labels.items())
    used = ", ".join(f"'{name}'" for name in (columns.path, columns.label, columns.split) if name)
    size = reading.size or DEFAULT_SIZE
    files = [file for part in examples.values() for file, _ in part]
    return ImageSource(
        kind="table of images",
        name=path.resolve().parent.name if path.stem.lower() in _GENERIC else path.stem,
        classes=classes,
        identity={
            "manifest": file_identity(file for file in files if file.exists()),
            "missing": sorted(str(file) for file in files if not file.exists()),
            "labels": labels,
            "size": size,
            **reading.identity(),
        },
        chunks=lambda: chunks_of_files(examples, size, reading.background),
        size=size,
        named_classes=not numeric,
        notes=(
            f"{counts} images; {plural(len(classes), 'class', 'classes')}; columns {used}",
            *notes,
            *absent_notes(classes, labels),
        ),
        own_splits=own,
        skip_broken=reading.skip_broken,
    )


def _file(folder: Path, name: str, by_name: Mapping[str, Path]) -> Path:
    """Return a row's file; a path with backslashes, as Windows writes it, is read so where no file is called that."""
    if name in by_name:
        return by_name[name]
    file = folder / name
    return folder / name.replace("\\", "/") if "\\" in name and not file.exists() else file


def _refuse_if_none_exists(path: Path, examples: dict[str, list[tuple[Path, int]]]) -> None:
    files = [file for part in examples.values() for file, _ in part]
    if not any(file.exists() for file in files):
        raise UserError(
            f"{path}: none of its {plural(len(files), 'image')} exists, the first is {files[0]}: write whole file "
            f"names, with suffix, relative to the folder of the table"
        )


def names_images(path: Path) -> bool:
    """Tell whether a path is a table with a column of paths and one of labels."""
    return _columns(path) is not None


def _columns(path: Path) -> _Columns | None:
    """Return the table's columns of paths, labels and splits; None if it is no such table.

    Other tables have a column `id`, too: it counts only where its first value names an image.
    """
    columns = _columns_by_header(path)
    if columns is None or not columns.holds_ids:
        return columns
    first = next(_cells(path, columns), None)
    return columns if first is not None and images_by_name(path.parent, first[1]) else None


def _columns_by_header(path: Path) -> _Columns | None:
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in (".csv", ".tsv", ".parquet"):
        return None
    if suffix == ".parquet":
        with reading_table(path):
            schema = open_table(path).schema_arrow
            texts = {field.name for field in schema if str(field.type) in ("string", "large_string", "string_view")}
            names = list(schema.names)
        chosen = _chosen(names)
        return chosen if chosen is not None and (chosen.path in texts or chosen.holds_ids) else None
    header = csv_header(path)
    for delimiter in _DELIMITERS:
        with suppress(csv.Error):  # a line's end within a name: no table of images by this delimiter
            names = next(csv.reader([",".join(header)], delimiter=delimiter), []) if delimiter != "," else header
            if (chosen := _chosen(names)) is not None:
                return chosen._replace(delimiter=delimiter)
    return None


def _chosen(names: Sequence[str]) -> _Columns | None:
    spelled = {name.strip().lower(): name for name in reversed(names)}

    def first(wanted: Sequence[str]) -> str | None:
        return next((spelled[name] for name in wanted if name in spelled), None)

    path, label = first(PATH_COLUMNS) or first(ID_COLUMNS), first(LABEL_COLUMNS)
    return _Columns(path, label, first(SPLIT_COLUMNS)) if path and label else None


def _rows(path: Path, columns: _Columns) -> Iterator[_Row]:
    """Yield the rows, checked one by one."""
    for place, file, label, split in _cells(path, columns):
        if not file:
            raise UserError(f"{place}: no path in column '{columns.path}': name an image, or remove the row")
        if not label:
            raise UserError(f"{place}: no label in column '{columns.label}': name a class, or remove the row")
        known = SPLIT_OF.get(split.lower()) if columns.split else "train"
        if known is None:
            raise UserError(f"{place}: {columns.split} '{split[:40]}' is not one of {', '.join(SPLITS)}")
        yield _Row(place, file, label, known)


def _cells(path: Path, columns: _Columns) -> Iterator[tuple[str, str, str, str]]:
    """Yield each row's place, path, label and split as they stand."""
    return _parquet_cells(path, columns) if path.suffix.lower() == ".parquet" else _csv_cells(path, columns)


def _csv_cells(path: Path, columns: _Columns) -> Iterator[tuple[str, str, str, str]]:
    reader = csv.reader(decoded_lines(path), delimiter=columns.delimiter)
    try:
        header = next(reader)
        places = [header.index(name) if name else None for name in (columns.path, columns.label, columns.split)]
        for cells in reader:
            if any(cell.strip() for cell in cells):
                path_, label, split = (
                    cells[place].strip() if place is not None and place < len(cells) else "" for place in places
                )
                yield f"{path}:{reader.line_num}", path_, label, split
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: {error}: is a quote never closed, or a line end lost?") from None


def _parquet_cells(path: Path, columns: _Columns) -> Iterator[tuple[str, str, str, str]]:
    number = 0
    with reading_table(path):
        file = open_table(path)
        most_rows(path, file)
        names = [name for name in columns[:3] if name]
        for batch in file.iter_batches(columns=names):
            for row in zip(*(batch[name].to_pylist() for name in names), strict=True):
                texts = [_text(value) for value in row]
                yield f"{path}: row {number}", texts[0], texts[1], texts[2] if columns.split else ""
                number += 1


def _text(value: Any) -> str:
    """Return a cell as a CSV would hold it."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _distinct(rows: Iterator[_Row]) -> tuple[list[_Row], list[str]]:
    """Leave out rows that say the same of an image twice; refuse those that contradict each other."""
    first: dict[str, _Row] = {}
    repeated = Counter[str]()
    for row in rows:
        key = os.path.normpath(row.path)
        before = first.setdefault(key, row)
        if before is row:
            continue
        for what in ("label", "split"):
            if getattr(before, what) != getattr(row, what):
                raise UserError(
                    f"{row.place}: {row.path} has the {what} '{getattr(row, what)}' here and "
                    f"'{getattr(before, what)}' at {before.place.rpartition('/')[2]}: keep one of the two"
                )
        repeated[row.path] += 1
    note = f"left out {plural(repeated.total(), 'repeated row')} ({some(list(repeated))})" if repeated else ""
    return list(first.values()), [note] if note else []


def _classes(rows: Sequence[_Row]) -> tuple[tuple[str, ...], bool]:
    """Return the labels sorted, as numbers if all are whole numbers, and whether they are."""
    names = {row.label for row in rows}
    numeric = all(name.removeprefix("-").isascii() and name.removeprefix("-").isdigit() for name in names)
    return tuple(sorted(names, key=int) if numeric else sorted(names)), numeric
