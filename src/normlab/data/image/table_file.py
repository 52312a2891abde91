"""Parquet and Arrow files, opened alike; whatever pyarrow meets in one is told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from normlab.data.image.pixels import require
from normlab.data.image.saved_dataset import ArrowFile
from normlab.errors import UserError
from normlab.file_kind import PARQUET, kind_of_file

MOST_ROWS = 100_000_000


def open_table(path: Path) -> Any:
    """Open a table: what has `schema_arrow` and `iter_batches`."""
    with reading_table(path):
        if not path.is_file():
            raise UserError(f"{path}: no regular file; remove it or give the parquet file")
        if path.suffix == ".arrow":
            return ArrowFile(path)
        parquet = require("pyarrow.parquet", "reading parquet files")
        return parquet.ParquetFile(path, page_checksum_verification=True)


@contextmanager
def reading_table(path: Path) -> Iterator[None]:
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
        form = "Arrow" if path.suffix == ".arrow" else "parquet"
        raise UserError(f"{path}: not a readable {form} file ({reason}); download it again") from error


def most_rows(path: Path, file: Any) -> None:
    """Refuse a table of more rows than any set of images has: its metadata may say any number."""
    if file.metadata.num_rows > MOST_ROWS:
        raise UserError(f"{path}: {file.metadata.num_rows:,} rows, at most {MOST_ROWS:,} are read")
