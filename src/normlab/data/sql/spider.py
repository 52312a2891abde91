"""Readers of text-to-SQL questions: the course's CSV files, Spider's and BIRD's JSON, and folders of databases.

The course's `train.csv` and `val.csv` are Spider's train and dev sets shuffled together, so every database
stands on both sides; `normlab.data.sql.views` cuts the same rows so that a score says something about
new databases.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from normlab.data.sql.schema import Schema, read_tables
from normlab.data.text.csv_rows import csv_rows
from normlab.errors import UserError, did_you_mean
from normlab.json_file import read_json

COLUMNS = ("db_id", "query", "question")

DEV_DATABASES = frozenset(
    (
        "concert_singer",
        "pets_1",
        "car_1",
        "flight_2",
        "employee_hire_evaluation",
        "cre_Doc_Template_Mgt",
        "course_teach",
        "world_1",
        "network_1",
        "dog_kennels",
        "tvshow",
        "poker_player",
        "voter_1",
        "wta_1",
        "museum_visit",
        "battle_death",
        "student_transcripts_tracking",
        "singer",
        "real_estate_properties",
        "orchestra",
    )
)
"""The databases of Spider's published dev split, unseen in its training."""


@dataclass(frozen=True)
class Example:
    """One question, its gold SQL, its database, and where it was read: `file:line`."""

    db_id: str
    query: str
    question: str
    source: str = ""


@dataclass(frozen=True)
class SpiderFolder:
    """A folder with `tables.json`, question files and `database/<db_id>/<db_id>.sqlite`, or with BIRD's names of these.

    `train` and `val` are the course's files (`train.csv`, `val.csv`), Spider's (`train_spider.json` with
    `train_others.json`, `dev.json`) or BIRD's (`train.json`, `dev.json`), whichever stand there. BIRD's schemas are
    `train_tables.json` and `dev_tables.json`, its databases stand in `train_databases` and `dev_databases`.
    """

    root: Path

    @cached_property
    def schemas(self) -> dict[str, Schema]:
        """db_id -> schema, from `tables.json` or BIRD's files of both parts; of two for a database the first counts."""
        files = self.schema_files()
        return {name: schema for file in reversed(files) for name, schema in read_tables(file).items()}

    def schema_files(self) -> list[Path]:
        """Return the files of schemas: `tables.json`, which may be missing, unless those of BIRD stand there alone."""
        own = self.root / "tables.json"
        parts = [self.root / f"{part}_tables.json" for part in _PARTS]
        return [own] if own.is_file() else [path for path in parts if path.is_file()] or [own]

    @property
    def databases(self) -> Path:
        """The folder for `find_database`: `database`, or where it is missing the folder that holds BIRD's."""
        own = self.root / "database"
        theirs = any((self.root / f"{part}_databases").is_dir() for part in _PARTS)
        return self.root if theirs and not own.is_dir() else own

    @cached_property
    def train(self) -> list[Example]:
        """The training questions."""
        return self._read("train")

    @cached_property
    def val(self) -> list[Example]:
        """The validation questions."""
        return self._read("val")

    def files(self, part: str) -> list[Path]:
        """Return the files that hold the questions of `train` or `val`; none if there are none."""
        for names in _FILES[part]:
            files = [self.root / name for name in names if (self.root / name).is_file()]
            if files:
                return files
        return []

    def ignored(self) -> list[str]:
        """Return the names of further files in the folder that look as if they held questions."""
        files = [*self.schema_files(), *(file for part in _FILES for file in self.files(part))]
        read = {"tables.json", *(file.name for file in files)}
        return sorted(file.name for file in self.root.iterdir() if file.suffix in _LIKELY and file.name not in read)

    def schema(self, db_id: str) -> Schema:
        """Return a database's schema; raise `UserError` with the nearest name if there is none."""
        if db_id not in self.schemas:
            raise UserError(
                f"no database '{db_id}' in {' or '.join(map(str, self.schema_files()))}: "
                f"{did_you_mean(db_id, self.schemas)}"
            )
        return self.schemas[db_id]

    def database(self, db_id: str) -> Path | None:
        """Return the path of a database's file, or None where its contents are not at hand."""
        return find_database(self.databases, db_id)

    def _read(self, part: str) -> list[Example]:
        files = self.files(part)
        if files:
            return [example for file in files for example in read_examples(file)]
        wanted = " or ".join(names[0] for names in _FILES[part])
        there = f" (found: {', '.join(self.ignored())})" if self.root.is_dir() and self.ignored() else ""
        raise UserError(f"no {wanted} in {self.root}{there}: point --data at the folder that holds the questions")


_FILES = {
    "train": (("train.csv",), ("train_spider.json", "train_others.json"), ("train.json",)),
    "val": (("val.csv",), ("dev.json",)),
}
_PARTS = ("train", "dev")  # of BIRD
_LIKELY = {".csv", ".json", ".jsonl", ".tsv", ".parquet"}


def read_examples(path: Path | str) -> list[Example]:
    """Read questions from a `.csv` file (db_id, query, question) or a Spider `.json` file.

    Tabs and line breaks inside a query become spaces, because the official files are tab-separated lines.
    Raises: `UserError` naming the file, the line and the missing column or cell.
    """
    file = Path(path)
    if not file.exists():
        raise UserError(f"no question file at {file}: check the path")
    return list(_read_json(file) if file.suffix == ".json" else _read_csv(file))


def find_database(folder: Path | str, db_id: str) -> Path | None:
    """Return `folder/<db_id>/<db_id>.sqlite` if it is there, or that of `train_databases` or `dev_databases` in it."""
    for inside in ("", *(f"{part}_databases" for part in _PARTS)):
        path = Path(folder) / inside / db_id / f"{db_id}.sqlite"
        if os.path.isfile(path):  # False, not an error, for a name that no file can have
            return path
    return None


def unread_keys(path: Path) -> list[str]:
    """Return what BIRD's rows hold beside the question, its database and SQL, and nobody here reads: `evidence`, ..."""
    rows = read_json(path)
    first = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    return [str(key) for key in first if key not in ("question_id", "SQL", *COLUMNS)] if "SQL" in first else []


def one_line(sql: str) -> str:
    """Return SQL with every tab and line break as a space, and the ends stripped."""
    return sql.translate(_TO_SPACE).strip()


_TO_SPACE = str.maketrans(dict.fromkeys("\t\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029", " "))


def _read_csv(file: Path) -> Iterator[Example]:
    for where, row in csv_rows(file, COLUMNS):
        yield _example(row, where)


def _read_json(file: Path) -> Iterator[Example]:
    rows = read_json(file)
    if not isinstance(rows, list):
        raise UserError(f"{file} holds no list of questions: is this train_spider.json or dev.json?")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UserError(f"{file}:{number} is no object with {', '.join(COLUMNS)}: is this train_spider.json?")
        yield _example(row, f"{file}:{number}")


def _example(row: Mapping[str, Any], source: str) -> Example:
    if "query" not in row and "SQL" in row:  # BIRD's name of the column
        row = {**row, "query": row["SQL"]}
    db_id, query, question = (_text(row.get(name), name, source) for name in COLUMNS)
    return Example(db_id.strip(), one_line(query), question.strip(), source)


def _text(value: Any, name: str, source: str) -> str:
    if value is not None and not isinstance(value, str):
        raise UserError(f"{source}: {name} is no text: write it in quotes")
    if not value or not value.strip():
        raise UserError(f"{source} has no {name}: fill or remove the row")
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        raise UserError(f"{source}: {name} holds a NUL or half a surrogate pair: remove it")
    return value
