"""The labels of a table of images: whole numbers or text, and the names of their classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from normlab.data.image.table_file import open_table, reading_table
from normlab.errors import UserError

Label = int | str


class Classes(NamedTuple):
    """The names of the classes, and the number that a label stands for."""

    names: tuple[str, ...]
    number_of: Mapping[Label, int]
    named: bool  # False where the names are the numbers themselves


def labels_of(files: Sequence[Path], column: str) -> list[Any]:
    """Return a column of labels, as the files hold them."""
    values: list[Any] = []
    for path in files:
        file = open_table(path)
        with reading_table(path):
            for batch in file.iter_batches(columns=[column]):
                values += batch[column].to_pylist()
    return values


def has_labels(values: list[Any]) -> bool:
    """Say whether a split is labelled: hub repositories mark hidden labels with -1."""
    return any(value not in (None, -1) for value in values)


def classes_of(path: Path, label: str, labels: Sequence[list[Any]]) -> Classes:
    """Return the classes that the schema's metadata names, else the different labels, sorted."""
    if names := _names_in_metadata(path, label):
        return Classes(names, {name: n for n, name in enumerate(names)} | {n: n for n in range(len(names))}, True)
    values = {plain for part in labels for value in part if (plain := plain_label(value)) is not None}
    if not all(type(value) is type(next(iter(values))) for value in values):
        raise UserError(f"{path}: column '{label}' mixes text and numbers; use one of both for labels")
    ordered: list[Any] = sorted(values)  # all text, or all numbers
    return Classes(
        tuple(map(str, ordered)),
        {value: number for number, value in enumerate(ordered)},
        bool(ordered) and isinstance(ordered[0], str),
    )


def number_of(classes: Classes, value: Any) -> int:
    """Return a label's class number; -1 for what is none, which reading the row refuses."""
    label = plain_label(value)
    return -1 if label is None else classes.number_of.get(label, -1)


def plain_label(value: Any) -> Label | None:
    """Return a label as text or whole number; None for anything else."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) else None


def _names_in_metadata(path: Path, label: str) -> tuple[str, ...]:
    file = open_table(path)
    with reading_table(path):
        metadata = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    try:
        names = json.loads(metadata)["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    whole = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return tuple(names) if whole and len(set(names)) == len(names) else ()
