"""What a run read of its data and what it left out, one line each: shown before training and kept in the card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import COLUMNS, SpiderFolder, find_database, unread_keys
from normlab.data.sql.sqlite_schema import folded, one_line_name
from normlab.data.text.csv_rows import csv_header
from normlab.errors import UserError
from normlab.tasks.text2sql.inputs.rows import Rows

_NAMED = 3
_DATABASE_SUFFIXES = {".sqlite", ".sqlite3", ".db"}


def data_notes(
    folder: SpiderFolder,
    rows: Rows,
    skipped: Mapping[str, Sequence[str]],
    left_out: Mapping[str, Sequence[str]],
    *,
    cells: bool,
) -> list[str]:
    """Return the lines.

    Args:
        skipped: split -> a line for each gold query that cannot be learned.
        left_out: db_id -> a line for each column whose cells could not be read.
        cells: whether cells are linked.
    """
    asked = sorted({row.db_id for examples in rows.splits.values() for row in examples})
    return [
        *_question_files(folder, rows),
        *_missing_files(rows.databases, asked, cells=cells),
        *_unasked_files(rows.databases, asked),
        *_other_columns(rows, asked),
        *_listed("databases: cells that cannot be read", _unreadable_cells(left_out)),
        *(line for split, sql in skipped.items() for line in _listed(f"{split}: gold queries not learned", sql)),
    ]


def _question_files(folder: SpiderFolder, rows: Rows) -> list[str]:
    """Which files were read, which were not, and columns of theirs that nobody reads."""
    files = {part: folder.files(part) for part in ("train", "val")}
    read = ", ".join(f"{part} {len(getattr(folder, part))} ({_names(paths)})" for part, paths in files.items())
    cut = ", ".join(f"{split} {len(examples)}" for split, examples in rows.splits.items())
    ignored = folder.ignored()
    rest = f"; not read: {', '.join(ignored)}" if ignored else ""
    lines = [f"questions: {read}, used as {cut}{rest}"]
    for path in [path for paths in files.values() for path in paths if path.suffix == ".csv"]:
        lines += _listed(f"{path.name}: columns not read", [name for name in csv_header(path) if name not in COLUMNS])
    for path in [path for paths in files.values() for path in paths if path.suffix == ".json"]:
        lines += _listed(f"{path.name}: keys not read", unread_keys(path))
    return lines


def _missing_files(databases: Path, asked: list[str], *, cells: bool) -> list[str]:
    """Databases without contents, and files that look as if they were meant."""
    missing = [db_id for db_id in asked if find_database(databases, db_id) is None]
    if not missing:
        return []
    similar = [path.name for db_id in missing for path in _similar(databases, db_id)]
    hint = f"; found {', '.join(similar[:_NAMED])}: name each DB/DB.sqlite" if similar else ""
    effect = "questions are linked by names alone and queries not run" if cells else "queries are not run"
    where = databases if databases.is_dir() else f"{databases}, which is no folder"
    return [f"databases: {len(missing)} of {len(asked)} have no file in {where} ({_first(missing)}): {effect}{hint}"]


def _similar(databases: Path, db_id: str) -> list[Path]:
    try:
        inside = [path for path in (databases / db_id).iterdir() if path.suffix.lower() in _DATABASE_SUFFIXES]
    except OSError:
        inside = []
    beside = [databases / f"{db_id}{suffix}" for suffix in sorted(_DATABASE_SUFFIXES)]
    return sorted(inside) + [path for path in beside if path.is_file()]


def _unasked_files(databases: Path, asked: list[str]) -> list[str]:
    known = set(asked)
    try:
        names = sorted(path.name for path in databases.iterdir() if path.name not in known)
    except OSError:
        return []
    return _listed("databases: no question asks about", [name for name in names if find_database(databases, name)])


def _other_columns(rows: Rows, asked: list[str]) -> list[str]:
    """Tables and columns of tables.json that a database's own file lacks, and files that cannot be read."""
    lacking, unreadable = [], []
    for db_id in asked:
        path = find_database(rows.databases, db_id)
        if path is None:
            continue
        try:
            names = _column_names(Schema.from_sqlite(path, db_id))
            names |= _column_names(Schema.from_sqlite(path, db_id, official=True))
        except UserError as error:
            unreadable.append(str(error))
            continue
        lacking += [f"{db_id}: {one_line_name(name)}" for name in sorted(_column_names(rows.schemas[db_id]) - names)]
    return [
        *_listed("databases: cannot be read", unreadable),
        *_listed("databases: the files lack columns of tables.json", lacking),
    ]


def _unreadable_cells(left_out: Mapping[str, Sequence[str]]) -> list[str]:
    """Columns whose cells cannot be read, but for those that the file lacks, which are named already."""
    lines = [f"{db_id}: {line}" for db_id, reasons in left_out.items() for line in reasons]
    return [line for line in lines if "no such table" not in line and "no such column" not in line]


def _column_names(schema: Schema) -> set[str]:
    """Lower-case table.column of every column."""
    columns = schema.columns[1:]
    return {f"{folded(schema.tables[column.table].name)}.{folded(column.name)}" for column in columns}


def _listed(title: str, names: Sequence[str]) -> list[str]:
    return [f"{title}: {len(names)} ({_first(names)})"] if names else []


def _first(names: Sequence[str]) -> str:
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(path.name for path in paths)
