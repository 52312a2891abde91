"""Predictions of images: records, and files of them.

A file is a CSV table, JSON lines, or one class number a line (the form of the course).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from normlab.data.image.prediction import UnlabelledImage
from normlab.errors import UserError, did_you_mean
from normlab.plurals import plural
from normlab.runs.atomic import atomic_text

Record = dict[str, Any]


def records_of(
    images: Sequence[UnlabelledImage],
    classes: Sequence[str],
    probabilities: Callable[[npt.NDArray[np.uint8]], list[list[float]]],
) -> Iterator[Record]:
    """Yield {"name", "class", "index", "probability", "probabilities"} for each image of one batch.

    An image that was converted to be read has "changed" too; one that cannot be read has only "name" and "error".

    Args:
        probabilities: uint8 (N, 3, H, W) -> a row of class probabilities for each; not called without images.
    """
    pixels = [image.pixels for image in images if image.pixels is not None]
    rows = iter(probabilities(np.stack(pixels)) if pixels else [])
    for image in images:
        if image.pixels is None:
            yield {"name": image.name, "error": image.error}
            continue
        row = next(rows)
        best = max(range(len(row)), key=row.__getitem__)
        yield {
            "name": image.name,
            "class": classes[best],
            "index": best,
            "probability": row[best],
            "probabilities": dict(zip(classes, row, strict=True)),
            **({"changed": image.change} if image.change else {}),
        }


def write_predictions(records: Iterator[Record], out: Path, form: str) -> int:
    """Write records in constant memory; the file appears only when it is whole. Return their number.

    An image that could not be read (a record with "error") is a row without class, in JSON lines with its reason.

    Raises: UserError for an unknown form, or a suffix that names none; if no image could be read; for the course's
        form, if any could not, since its lines have no names.
    """
    if form == "auto":
        form = out.suffix.lstrip(".").lower() or "csv"
    if form not in _WRITERS:
        raise UserError(f"{out}: unknown form '{form}' of predictions: {did_you_mean(form, _WRITERS)}; say --format")
    count, failed, first = 0, 0, ""
    with atomic_text(out) as file:
        write = _WRITERS[form](file)
        for record in records:
            count += 1
            if "error" in record:
                failed += 1
                first = first or f"{record['name']}: {record['error']}"
            write(record)
        if failed and failed == count:
            raise UserError(f"none of {plural(count, 'image')} can be read; the first is {first}")
    return count


def _csv_writer(file: IO[str]) -> Callable[[Record], None]:
    table = csv.writer(file, lineterminator="\n")
    waiting: list[str] | None = []  # names that failed before the classes were known; None once they are

    def write(record: Record) -> None:
        nonlocal waiting
        if "error" in record:
            if waiting is None:
                table.writerow([record["name"], "", ""])
            else:
                waiting.append(record["name"])
            return
        if waiting is not None:
            table.writerow(["name", "class", "probability", *record["probabilities"]])
            table.writerows([name, "", ""] for name in waiting)
            waiting = None
        shares = (f"{value:.6f}" for value in record["probabilities"].values())
        table.writerow([record["name"], record["class"], f"{record['probability']:.6f}", *shares])

    return write


def _jsonl_writer(file: IO[str]) -> Callable[[Record], None]:
    return lambda record: print(json.dumps(record, ensure_ascii=False), file=file)


def _course_writer(file: IO[str]) -> Callable[[Record], None]:
    """One class number a line, in the order of the input."""

    def write(record: Record) -> None:
        if "error" in record:
            raise UserError(f"{record['name']}: {record['error']}; the course's form has no line for it")
        print(record["index"], file=file)

    return write


_WRITERS = {"csv": _csv_writer, "jsonl": _jsonl_writer, "course": _course_writer}
