"""Predictions of images as files: a table for a spreadsheet, objects for a program, numbers for the course."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from normlab.errors import UserError, did_you_mean
from normlab.runs.atomic import atomic_text

Record = dict[str, Any]


def write_predictions(records: Iterator[Record], out: Path, form: str) -> int:
    """Write records in constant memory; the file appears only when it is whole. Return their number.

    Raises: UserError for an unknown form, or a suffix that names none.
    """
    if form == "auto":
        form = out.suffix.lstrip(".").lower() or "csv"
    if form not in _WRITERS:
        raise UserError(f"{out}: unknown form '{form}' of predictions: {did_you_mean(form, _WRITERS)}; say --format")
    count = 0
    with atomic_text(out) as file:
        write = _WRITERS[form](file)
        for count, record in enumerate(records, start=1):  # noqa: B007 - the last value is the answer
            write(record)
    return count


def _csv_writer(file: IO[str]) -> Callable[[Record], None]:
    table = csv.writer(file, lineterminator="\n")
    started = False

    def write(record: Record) -> None:
        nonlocal started
        if not started:
            table.writerow(["name", "class", "probability", *record["probabilities"]])
            started = True
        shares = (f"{value:.6f}" for value in record["probabilities"].values())
        table.writerow([record["name"], record["class"], f"{record['probability']:.6f}", *shares])

    return write


def _jsonl_writer(file: IO[str]) -> Callable[[Record], None]:
    return lambda record: print(json.dumps(record, ensure_ascii=False), file=file)


def _course_writer(file: IO[str]) -> Callable[[Record], None]:
    """One class number a line, in the order of the input."""
    return lambda record: print(record["index"], file=file)


_WRITERS = {"csv": _csv_writer, "jsonl": _jsonl_writer, "course": _course_writer}
