"""What a folder of questions to databases holds, for `normlab data check`: all is read, each gold query compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from normlab.data.sql.pairs import Pair, wrong_queries
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import Example, SpiderFolder, unread_keys
from normlab.errors import UserError

_SHOWN = 3


def check_questions(path: Path) -> dict[str, Any] | None:
    """Read a folder of Spider's or BIRD's form; None for a path that is no such folder.

    Returns: kind; questions by part, databases, tables, columns, numbers; files and schemas, from which they were read;
        `problems`: databases without a file, files that cannot be read, and gold queries that do not compile, with
        their number and the first three; `not_read`, further files and keys.
    Raises: UserError naming file and line of a question or schema that cannot be read.
    """
    folder = SpiderFolder(path)
    files = {part: folder.files(part) for part in ("train", "val")}
    if not path.is_dir() or not any(files.values()) or not any(file.is_file() for file in folder.schema_files()):
        return None
    rows = {part: getattr(folder, part) for part, read in files.items() if read}
    for example in (one for examples in rows.values() for one in examples):
        try:
            folder.schema(example.db_id)
        except UserError as error:
            raise UserError(f"{example.source}: {error}") from None
    asked = sorted({one.db_id for examples in rows.values() for one in examples})
    schemas = [folder.schemas[name] for name in asked]
    bird = any(file.name.endswith("_tables.json") for file in folder.schema_files())
    return {
        "kind": f"questions to databases ({'BIRD' if bird else 'Spider'}'s form)",
        "questions": {part: len(examples) for part, examples in rows.items()},
        "databases": len(asked),
        "tables": sum(len(schema.tables) for schema in schemas),
        "columns": sum(len(schema.columns) - 1 for schema in schemas),
        "files": [file.name for part in files.values() for file in part],
        "schemas": [file.name for file in folder.schema_files()],
        "problems": _problems(folder, asked, rows),
        "not_read": _not_read(folder, files),
    }


def _problems(folder: SpiderFolder, asked: list[str], rows: dict[str, list[Example]]) -> list[str]:
    missing = [name for name in asked if folder.database(name) is None]
    unreadable, wrong = [], []
    for name in asked:
        path = folder.database(name)
        if path is None:
            continue
        try:
            Schema.from_sqlite(path, name, official=True)
            pairs = [
                Pair(one.question, one.query, one.source)
                for examples in rows.values()
                for one in examples
                if one.db_id == name
            ]
            wrong += wrong_queries(pairs, path)
        except UserError as error:
            unreadable.append(str(error))
    return [
        *_listed(f"databases without a file in {folder.databases}", missing),
        *_listed("databases that cannot be read", unreadable),
        *_listed("gold queries that do not run", wrong),
    ]


def _not_read(folder: SpiderFolder, files: dict[str, list[Path]]) -> list[str]:
    keys = [f"{file.name}: {', '.join(unread)}" for part in files.values() for file in part if (unread := _keys(file))]
    return [*keys, *folder.ignored()]


def _keys(file: Path) -> list[str]:
    return unread_keys(file) if file.suffix == ".json" else []


def _listed(title: str, names: list[str]) -> list[str]:
    return [f"{title}: {len(names)}, first {', '.join(names[:_SHOWN])}"] if names else []
