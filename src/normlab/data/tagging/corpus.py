"""A file of sentences in whatever format its name tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from normlab.data.tagging.conll import ColumnFile
from normlab.data.tagging.gmb_csv import GmbCsv
from normlab.data.tagging.jsonl import SentenceJsonLines
from normlab.data.tagging.plain_text import PlainText
from normlab.data.tagging.sentences import SentenceFile
from normlab.errors import UserError, did_you_mean

FORMATS: dict[str, type[SentenceFile]] = {
    "columns": ColumnFile,
    "gmb-csv": GmbCsv,
    "jsonl": SentenceJsonLines,
    "text": PlainText,
}
_BY_SUFFIX = {".csv": "gmb-csv", ".jsonl": "jsonl", ".json": "jsonl"}


def open_sentences(path: str | Path, file_format: str | None = None, **options: Any) -> SentenceFile:
    """Return a reader; without a format the suffix tells .csv, .jsonl and .json, all else is columns.

    Raises: UserError for an unknown format.
    """
    name = file_format or _BY_SUFFIX.get(Path(path).suffix.lower(), "columns")
    if name not in FORMATS:
        raise UserError(f"unknown format '{name}': {did_you_mean(name, FORMATS)}")
    return FORMATS[name](path, **options)
