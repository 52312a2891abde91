"""The formats of tagged text: which there are, and which one a file has.

To add a format: a subclass of `SentenceFile` in a file of this folder, and a line in `FORMATS`. The class says what it
recognises (`suffixes`, or its own `recognises`), what it is called in messages (`title`), and how it is read
(`_drafts`).
"""

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
    "gmb-csv": GmbCsv,
    "jsonl": SentenceJsonLines,
    "text": PlainText,  # only by name: a text file may hold columns
    "columns": ColumnFile,  # every file that no other format recognises
}


def format_of(path: str | Path) -> type[SentenceFile]:
    """Return the reader of the first format that recognises a file; else that of column files."""
    return next((reader for reader in FORMATS.values() if reader.recognises(Path(path))), ColumnFile)


def suffixes() -> tuple[str, ...]:
    """Return the suffixes by which formats are recognised, in the order of the formats."""
    return tuple(suffix for reader in FORMATS.values() for suffix in reader.suffixes)


def open_sentences(path: str | Path, file_format: str | None = None, **options: Any) -> SentenceFile:
    """Return a reader of a file: by the name of its format, or by what `format_of` recognises.

    Raises: UserError for an unknown format.
    """
    if file_format is None:
        return format_of(path)(path, **options)
    if file_format not in FORMATS:
        raise UserError(f"unknown format '{file_format}': {did_you_mean(file_format, FORMATS)}")
    return FORMATS[file_format](path, **options)
