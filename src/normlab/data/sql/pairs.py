"""Pairs of a question and its SQL that the owner of a database writes: examples for `ask`, and what it learns from.

A .csv file with columns `question` and `sql`, or a .jsonl file of objects with these keys; or a list of such mappings
under `examples:` in a data dictionary (`dictionary.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.data.sql.spider import one_line
from normlab.data.sql.sqlite import QueryError, QueryLimit, run_query
from normlab.data.text.csv_rows import csv_rows, decoded_lines
from normlab.data.text.word_forms import words_of
from normlab.errors import UserError, shortened

KEYS = ("question", "sql")


@dataclass(frozen=True)
class Pair:
    """A question, its SQL on one line, and where the two were read: `file:line`."""

    question: str
    sql: str
    place: str


def read_pairs(path: Path) -> list[Pair]:
    """Read a .csv or .jsonl file of pairs.

    Raises: UserError naming file and line of what is missing, or if there is no pair.
    """
    readers = {".csv": _from_csv, ".jsonl": _from_jsonl}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: pairs are read from .csv (columns question, sql) and .jsonl: name the file so")
    pairs = list(readers[path.suffix.lower()](path))
    if not pairs:
        raise UserError(f"{path}: holds no pair: write a question and its SQL in each row")
    return pairs


def pair_of(values: Any, place: str) -> Pair:
    """Return the pair that a mapping holds. Raises: UserError for what is missing, or is no text."""
    if not isinstance(values, Mapping):
        raise UserError(f"{place}: expected question and sql, found {shortened(values)}")
    question, sql = (values.get(key) for key in KEYS)
    for key, text in zip(KEYS, (question, sql), strict=True):
        if not isinstance(text, str) or not text.strip():
            raise UserError(f"{place}: has no {key}: write it as a text")
        if any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in text):
            raise UserError(f"{place}: {key} holds a NUL or half a surrogate pair: remove it")
    if not words_of(str(question)):
        raise UserError(f"{place}: the question {shortened(question)} has no words: ask for something in the database")
    return Pair(str(question).strip(), one_line(str(sql)).rstrip("; "), place)


def wrong_queries(pairs: Sequence[Pair], database: Path) -> list[str]:
    """Return a line for each pair whose SQL does not parse or does not run, with its place and SQLite's reason.

    Queries are compiled and return no row, so that a slow one costs nothing. A limit of ours says nothing against one.
    """
    lines = []
    for pair in pairs:
        try:
            run_query(database, f"SELECT * FROM (\n{pair.sql}\n) LIMIT 0")
        except QueryLimit:
            continue
        except QueryError as error:
            lines.append(f"{pair.place}: its SQL does not run ({error}): {shortened(pair.sql)}")
    return lines


def _from_csv(path: Path) -> Iterator[Pair]:
    for place, row in csv_rows(path, KEYS):
        yield pair_of(row, place)


def _from_jsonl(path: Path) -> Iterator[Pair]:
    for number, line in enumerate(decoded_lines(path), start=1):
        if line.strip():
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}:{number}: no JSON ({error}): write one object a line") from None
            yield pair_of(values, f"{path}:{number}")
