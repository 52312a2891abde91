"""Tagged sentences as files: the input's columns with the tag replaced, or JSON lines with entities."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from normlab.data.tagging.conll import ColumnFile
from normlab.data.tagging.predicted_columns import write_predicted_columns
from normlab.errors import UserError, did_you_mean
from normlab.runs.atomic import atomic_text
from normlab.tasks.ner.tagging import Records

Record = dict[str, Any]
FORMS = ("columns", "jsonl")
_BREAKS = re.compile("[\t\r\n]+")


def write_predictions(records: Iterator[Record], out: Path, form: str, source: Any) -> int:
    """Write records in constant memory; the file appears only when it is whole. Return the number of sentences.

    Args:
        form: "columns": a column file is repeated byte for byte except its last column, or with one more if it has no
            tags; other input becomes `word TAB tag` lines. "jsonl": an object per sentence. "auto": JSON lines if the
            suffix says so, else columns for a column file, else JSON lines.
    Raises: UserError for an unknown form.
    """
    if form not in (*FORMS, "auto"):
        raise UserError(f"{out}: unknown form '{form}' of predictions: {did_you_mean(form, FORMS)}; say --format")
    reader = records.given.sentences if isinstance(records, Records) else None
    first = next(records, None)
    kind = "other" if first is None else first["input"]
    records = records if first is None else chain([first], records)
    if form == "auto":
        form = "columns" if kind.startswith("columns") and out.suffix.lower() not in {".jsonl", ".json"} else "jsonl"
    if form == "columns" and kind.startswith("columns"):
        tags = (record["tags"] for record in records)
        columns = reader if isinstance(reader, ColumnFile) else Path(source)
        return write_predicted_columns(columns, out, tags, append=kind == "columns without tags")
    return _write_lines(records, out, form)


def _write_lines(records: Iterator[Record], out: Path, form: str) -> int:
    count = 0
    with atomic_text(out) as file:
        for count, record in enumerate(records, start=1):  # noqa: B007 - the last value is the answer
            if form == "jsonl":
                shown = {key: value for key, value in record.items() if key != "input"}
                print(json.dumps(shown, ensure_ascii=False), file=file)
            else:
                pairs = zip(record["words"], record["tags"], strict=True)
                print("".join(f"{_in_one_line(word)}\t{tag}\n" for word, tag in pairs), file=file)
    return count


def _in_one_line(word: str) -> str:
    """Return a word with its tabs and line ends, which JSON and CSV can hold, as spaces."""
    return _BREAKS.sub(" ", word)
