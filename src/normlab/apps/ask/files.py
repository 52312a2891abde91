"""Whatever is asked, as an SQLite file. CSV, TSV and Parquet files are a table each, columns typed by what they hold.

Databases of other kinds are copied (`copying.py`).
"""

from __future__ import annotations

import csv
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from normlab.apps.ask.copying import Source, copy_database
from normlab.apps.ask.duckdb_file import DuckDBFile
from normlab.apps.ask.postgresql import SCHEMES, PostgreSQL, shown_url
from normlab.data.sql.sqlite import check_file
from normlab.data.sql.sqlite_schema import quoted
from normlab.data.text.csv_rows import decoded_lines
from normlab.errors import UserError
from normlab.file_kind import DUCKDB, kind_of_file
from normlab.plurals import plural
from normlab.reading import told_delimiter

SUFFIXES = (".csv", ".tsv", ".parquet")
_INTEGER = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?(0|[1-9]\d*),\d+")
_WITH_COMMAS = "REAL with decimal commas"  # the kind of a column that writes 1,5 for 1.5
_CHUNK = 10_000


def as_database(path: Path | str, resources: ExitStack, tables: Sequence[str] = ()) -> tuple[Path, list[str]]:
    """Return an SQLite file with what a path or a URL stands for, and lines that say what was made of it.

    An SQLite file is returned as it is. Others are read into a temporary file, which goes when `resources` are closed.

    Args:
        tables: names of those to copy of a database of another kind; all if there are none.
    Raises: UserError if there is nothing to read, or a file is damaged.
    """
    opened = _other_database(path)
    if opened is not None:
        with closing(opened) as database:
            file = _temporary_file(resources, "database")
            return file, copy_database(database, file, tables)
    path = Path(path)
    files = _tables(path)
    if not files:
        return path, []
    file = _temporary_file(resources, path.stem or "tables")
    notes = []
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=OFF")
        for name, table_file in files.items():
            read = _parquet if table_file.suffix.lower() == ".parquet" else _text
            columns, rows, decimal_commas = read(table_file)
            count, kinds = _fill(connection, name, columns, rows, table_file, decimal_commas=decimal_commas)
            typed = ", ".join(f"{column} {kind.lower()}" for column, kind in zip(columns, kinds, strict=True))
            notes.append(f"{table_file.name}: table {name}, {plural(count, 'row')}: {typed}")
    return file, notes


def is_url(path: Path | str) -> bool:
    """Tell a URL from a path."""
    return isinstance(path, str) and bool(_URL.match(path))


def refuse_missing(path: Path | str) -> None:
    """Raise `UserError` for a path that leads nowhere; a URL is not looked at."""
    if not is_url(path) and not os.path.exists(path):
        check_file(Path(path))


def shown(path: Path | str) -> str:
    """Return how messages call a database: a URL without its password."""
    return shown_url(str(path)) if is_url(path) else str(path)


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def _other_database(path: Path | str) -> Source | None:
    """Return a database that is to be copied, opened; None for files that are read here, or by SQLite."""
    if is_url(path):
        if urlsplit(str(path)).scheme.lower() not in SCHEMES:
            known = "an SQLite, DuckDB, CSV or Parquet file, or postgresql://USER@HOST/DATABASE"
            raise UserError(f"{shown(path)}: a URL of this kind is not read: give {known}")
        return PostgreSQL(str(path))
    return DuckDBFile(Path(path)) if kind_of_file(Path(path)) == DUCKDB else None


def _temporary_file(resources: ExitStack, stem: str) -> Path:
    folder = resources.enter_context(tempfile.TemporaryDirectory(prefix="normlab-ask-"))
    return Path(folder) / f"{stem}.sqlite"


def _tables(path: Path) -> dict[str, Path]:
    """Return table name -> file; nothing for an SQLite file."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not files:
            raise UserError(f"{path} is a folder without {', '.join(SUFFIXES)} files: give those, or an SQLite file")
    else:
        files = [path] if path.suffix.lower() in SUFFIXES and path.is_file() else []
    tables: dict[str, Path] = {}
    for file in files:
        name = re.sub(r"\W+", "_", file.stem).strip("_") or "table"
        if name.lower() in {known.lower() for known in tables}:
            raise UserError(f"{file} and {tables[name]} would be one table, {name}: rename one")
        tables[name] = file
    return tables


def _text(path: Path) -> tuple[list[str], Iterator[Sequence[Any]], bool]:
    """Return the names of the first line, the rows below it, and whether 1,5 is a number there."""
    lines = decoded_lines(path)
    first = next(lines, "")
    told = told_delimiter(first)
    delimiter = told or _delimiter(first, path)
    reader = csv.reader(chain([first], lines), delimiter=delimiter)
    with _reading(reader, path):
        if told:
            next(reader)
        header = next(reader, None)
    if header is None:
        raise UserError(f"{path} is empty: its first line must name the columns")
    names = [name.strip() or f"column_{number}" for number, name in enumerate(header, start=1)]
    _refuse_twice(names, path)
    return names, _checked(reader, len(names), path), delimiter == ";"  # where a comma parts decimals, ; parts cells


def _delimiter(header: str, path: Path) -> str:
    """Return what parts the names of the first line: tabs in a .tsv, else the commonest of some signs."""
    return "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=header.count)


def _checked(reader: Any, width: int, path: Path) -> Iterator[Sequence[Any]]:
    with _reading(reader, path):
        for row in reader:
            if not row:
                continue
            if len(row) != width:
                raise UserError(
                    f"{path}:{reader.line_num}: {plural(len(row), 'cell')} for {plural(width, 'column')}: fix the line"
                )
            yield [cell if cell != "" else None for cell in row]


@contextmanager
def _reading(reader: Any, path: Path) -> Iterator[None]:
    try:
        yield
    except csv.Error as error:
        raise UserError(f"{path}:{reader.line_num}: cannot be read ({error}): check the file") from None


def _parquet(path: Path) -> tuple[list[str], Iterator[Sequence[Any]], bool]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(f"{path}: reading parquet needs pyarrow: pip install 'normlab[parquet]'") from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: no parquet file ({str(error).splitlines()[0]}): check the file") from None
    names = list(file.schema_arrow.names)
    _refuse_twice(names, path)

    def rows() -> Iterator[Sequence[Any]]:
        try:
            for batch in file.iter_batches(_CHUNK):
                yield from zip(*(map(_plain, column.to_pylist()) for column in batch.columns), strict=True)
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise UserError(f"{path}: damaged ({str(error).splitlines()[0]}): check the file") from None

    return names, rows(), False


def _plain(value: Any) -> Any:
    """Return a value as SQLite has it: dates and lists as text."""
    if value is None or isinstance(value, int | float | str | bytes):
        return int(value) if isinstance(value, bool) else value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _refuse_twice(names: list[str], path: Path) -> None:
    known: set[str] = set()
    for name in names:
        if name.lower() in known:
            raise UserError(f"{path}: two columns are named {name}: rename one")
        known.add(name.lower())


def _fill(
    connection: sqlite3.Connection,
    table: str,
    columns: list[str],
    rows: Iterable[Sequence[Any]],
    path: Path,
    *,
    decimal_commas: bool,
) -> tuple[int, list[str]]:
    """Write a table; return its rows and its columns' kinds, INTEGER, REAL, with decimal commas or not, or TEXT."""
    cells = ", ".join("?" * len(columns))
    raw = quoted(f"{table} as read")
    try:
        connection.execute(f"CREATE TABLE {raw} ({', '.join(map(quoted, columns))})")
    except (sqlite3.Error, ValueError) as error:  # too many columns, none, a NUL in a name
        raise UserError(
            f"{path}: its {plural(len(columns), 'column')} make no table ({error}): check the first line"
        ) from None
    kinds = ["INTEGER"] * len(columns)
    count, waiting = 0, iter(rows)
    while chunk := list(islice(waiting, _CHUNK)):
        for place, column in enumerate(zip(*chunk, strict=True)):
            kinds[place] = _kind(column, kinds[place], decimal_commas=decimal_commas)
        try:
            connection.execute("BEGIN")
            connection.executemany(f"INSERT INTO {raw} VALUES ({cells})", chunk)
            connection.execute("COMMIT")
        except (sqlite3.Error, OverflowError) as error:
            raise UserError(f"{path}: cannot be taken in ({error}): check the file") from None
        count += len(chunk)
    named = list(zip(map(quoted, columns), kinds, strict=True))
    typed = ", ".join(f"{name} {kind.split()[0]}" for name, kind in named)
    read = ", ".join(
        f"CAST(replace({name}, ',', '.') AS REAL)" if kind == _WITH_COMMAS else name for name, kind in named
    )
    connection.execute(f"CREATE TABLE {quoted(table)} ({typed})")
    connection.execute(f"INSERT INTO {quoted(table)} SELECT {read} FROM {raw}")
    connection.execute(f"DROP TABLE {raw}")
    return count, kinds


def _kind(values: Iterable[Any], so_far: str, *, decimal_commas: bool) -> str:
    """Return the narrowest kind for values, not narrower than the one so far; 007 is text, and 1,5 beside 1.5."""
    kind = so_far
    for value in values:
        if value is None or kind == "TEXT":
            continue
        if isinstance(value, bytes):
            return "TEXT"
        text = str(value)
        if _INTEGER.fullmatch(text) and not (len(text.lstrip("+-")) > 1 and text.lstrip("+-").startswith("0")):
            continue
        if decimal_commas and kind != "REAL" and _DECIMAL_COMMA.fullmatch(text):
            kind = _WITH_COMMAS
        elif kind != _WITH_COMMAS and _NUMBER.fullmatch(text) and not re.match(r"[+-]?0\d", text):
            kind = "REAL"
        else:
            kind = "TEXT"
    return kind
