"""Results that others printed, to stand beside ours.

The tables are package data (`published_data/*.csv`; its README names sources and protocols). Fractions stay
fractions, and what a source did not print is None.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources
from typing import Any

from normlab.errors import UserError, did_you_mean

_TABLES = resources.files("normlab.studies") / "published_data"
_NUMBERS = {
    "image": ("batch_size", "lr", "loss", "accuracy", "micro_f1", "macro_f1"),
    "ner": ("layer_norm", "crf", "dropout", "accuracy", "micro_f1", "macro_f1"),
    "text_to_sql": ("exact_match", "execution"),
}


def published_tables() -> tuple[str, ...]:
    """Return what a study may list as `published`."""
    return (*_NUMBERS, "text2sql")  # the task's name serves too


def load_published(name: str) -> list[dict[str, Any]]:
    """Return a table's rows: column -> text, number, or None where the source printed nothing.

    Args:
        name: image, ner or text_to_sql.
    Raises: UserError naming the tables if there is none of that name.
    """
    if name not in _NUMBERS:
        raise UserError(f"unknown published table '{name}': {did_you_mean(name, _NUMBERS)}")
    return [dict(row) for row in _read(name)]


def published_for(norm: str, batch_size: int, split: str) -> list[dict[str, Any]]:
    """Return the image rows of a scheme, batch size and split on CIFAR-10, 14 layers; best accuracy first."""
    rows = [
        row
        for row in _read("image")
        if (row["norm"], row["batch_size"], row["split"]) == (norm, batch_size, split) and is_main_setting(row)
    ]
    return [dict(row) for row in sorted(rows, key=lambda row: -(row["accuracy"] or 0.0))]


def is_main_setting(row: dict[str, Any]) -> bool:
    """Say whether an image row is CIFAR-10 with n = 2; the others cannot stand in one table with it."""
    note = row["note"] or ""
    return not note.startswith("dataset=") and "depth n=3" not in note


@cache
def _read(name: str) -> tuple[dict[str, Any], ...]:
    text = (_TABLES / f"{name}.csv").read_text(encoding="utf-8")
    numbers = _NUMBERS[name]
    return tuple(
        {column: _value(field, column in numbers) for column, field in row.items()}
        for row in csv.DictReader(text.splitlines())
    )


def _value(field: str, is_number: bool) -> Any:
    if field == "":
        return None
    if not is_number:
        return field
    number = float(field)
    return int(number) if number.is_integer() and "." not in field else number
