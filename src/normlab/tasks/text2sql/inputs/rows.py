"""The questions of a run: which files they come from, and which of them train, choose the epoch and are the test.

The test rows are the view's evaluation rows; they choose nothing. Validation rows are held out of the training part:
whole databases for the view `unseen`, single rows for the others.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from normlab.data.batching import epoch_order
from normlab.data.split import train_validation_split
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import DEV_DATABASES, Example, SpiderFolder
from normlab.data.sql.toy import HELD_OUT, write_toy
from normlab.data.sql.views import Leakage, make_view, refuse_held_out
from normlab.data.streams import permutation
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.runs.atomic import atomic_folder
from normlab.runs.cache_folders import cache_root, writable_folder
from normlab.tasks.text2sql.config import Text2SqlConfig

GENERATED = "generated"


@dataclass(frozen=True)
class Rows:
    """The splits, the schemas and the databases.

    Attributes:
        splits: train, val, test.
        schemas: db_id -> schema, of every database of the folder.
        databases: folder of the SQLite files.
        leakage: what the training part shows of the test rows.
        novel: (test rows,), True where training holds no such SQL for the database.
    """

    splits: dict[str, list[Example]]
    schemas: Mapping[str, Schema]
    databases: Path
    leakage: Leakage
    novel: np.ndarray


def read_rows(config: Text2SqlConfig) -> Rows:
    """Read the questions and cut the splits.

    Raises: UserError for a missing file or column, a view without rows, or a database that is in no schema file.
    """
    folder = data_folder(config)
    held_out = HELD_OUT if config.data == GENERATED else DEV_DATABASES
    view = make_view(config.view, folder.train, folder.val, held_out)
    for row in [*view.train, *view.evaluation]:
        if row.db_id not in folder.schemas:
            raise UserError(f"{row.source}: {_unknown(folder, row.db_id)}")
    train, val = _cut(view.train, config)
    train = _limited(train, config)
    refuse_held_out([*train, *val], view.held_out)
    known = {_key(row) for row in view.train}
    novel = [_key(row) not in known for row in view.evaluation]
    splits = {"train": train, "val": val, "test": view.evaluation}
    return Rows(splits, folder.schemas, database_folder(config), view.leakage, np.array(novel))


def data_folder(config: Text2SqlConfig) -> SpiderFolder:
    """Return the folder with the questions; the made-up one is written into the cache first.

    Raises: UserError if it is not there.
    """
    if config.data == GENERATED:
        return SpiderFolder(_generated())
    path = Path(config.data).expanduser()
    if not config.data or not path.is_dir():
        problem = f"{path}: no such folder" if config.data else "no data named"
        raise UserError(f"{problem}: give --data a folder with train.csv, val.csv and tables.json, or generated")
    return SpiderFolder(path)


def _generated() -> Path:
    folder = cache_root() / "text2sql" / "generated-1"
    if not os.path.isdir(folder):
        folder = writable_folder("text2sql") / folder.name
    if not folder.is_dir():
        with atomic_folder(folder) as new:
            write_toy(new)
    return folder


def database_folder(config: Text2SqlConfig) -> Path:
    """Return where the SQLite files lie, or would."""
    return Path(config.databases).expanduser() if config.databases else data_folder(config).databases


def _unknown(folder: SpiderFolder, db_id: str) -> str:
    try:
        folder.schema(db_id)
    except UserError as error:
        return str(error)
    return ""


def _cut(rows: list[Example], config: Text2SqlConfig) -> tuple[list[Example], list[Example]]:
    """Hold out rows to choose the epoch by: whole databases where the test has new ones."""
    wanted = round(config.validation * len(rows))
    if not 0 < wanted < len(rows):
        raise UserError(f"validation: {config.validation:g} of {plural(len(rows), 'question')} is none: raise it")
    if config.view != "unseen":
        train, held = train_validation_split(len(rows), wanted, config.seed)
        return [rows[row] for row in train], [rows[row] for row in held]
    sizes = Counter(row.db_id for row in rows)
    names = sorted(sizes)
    held_databases: set[str] = set()
    for number in permutation(len(names), config.seed, "validation databases"):
        if sum(sizes[name] for name in held_databases) >= wanted or len(held_databases) == len(names) - 1:
            break
        held_databases.add(names[number])
    if not held_databases:
        raise UserError("validation: one database to train on leaves none to hold out: choose --view course")
    return (
        [row for row in rows if row.db_id not in held_databases],
        [row for row in rows if row.db_id in held_databases],
    )


def _limited(rows: list[Example], config: Text2SqlConfig) -> list[Example]:
    if config.limit_train is None or config.limit_train >= len(rows):
        return rows
    chosen = epoch_order(len(rows), config.seed, "limit_train")[: config.limit_train]
    return [rows[index] for index in np.sort(chosen)]


def _key(row: Example) -> tuple[str, str]:
    return row.db_id, " ".join(row.query.lower().split())
