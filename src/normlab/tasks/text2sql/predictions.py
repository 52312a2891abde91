"""Questions that training never saw, in (files of rows, text lines, Python values), and SQL out (JSON or SQL lines)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from normlab.data.sql.spider import SpiderFolder, find_database, one_line
from normlab.data.text.csv_rows import csv_rows, decoded_lines
from normlab.errors import UserError, did_you_mean, shortened
from normlab.json_file import read_json
from normlab.runs.atomic import atomic_text
from normlab.tasks.base import Placement
from normlab.tasks.text2sql.config import Text2SqlConfig
from normlab.tasks.text2sql.corrections.correcting import Correction, Corrector
from normlab.tasks.text2sql.inputs.encoding import Item
from normlab.tasks.text2sql.inputs.questions import Questions
from normlab.tasks.text2sql.measuring import best
from normlab.tasks.text2sql.model.decoding import Answer, decode, running_first
from normlab.tasks.text2sql.model.network import Text2Sql
from normlab.tasks.text2sql.periods.spans import in_numbers
from normlab.tasks.text2sql.reranking import reranked

Record = dict[str, Any]
FORMS = ("jsonl", "sql")
_CHUNK = 512


@dataclass(frozen=True)
class Asked:
    """A question and its database: a name that training knows, or an SQLite file; `file`: that of an unknown name.

    `read` is the question as the model reads it, which `told` tells where that is in other words; "" for as it stands.
    """

    question: str
    database: str
    place: str
    file: Path | None = None
    read: str = ""
    told: tuple[str, ...] = ()

    def in_numbers(self) -> Asked:
        """Return it with spans of years and days in numbers."""
        read, told = in_numbers(self.question)
        return replace(self, read=read, told=told)


def records(
    model: Text2Sql, source: Any, questions: Questions, config: Text2SqlConfig, placement: Placement
) -> Iterator[Record]:
    """Yield {"question", "db_id", "sql", "score", "alternatives", "cells", "notes"} for each question, in order.

    `notes` are what a reader of the query must know: that rules changed it, or that tables are joined without a key
    because every hypothesis lacks one. The rules, and the order by more than the model's probability, are for databases
    given by their paths.

    Args:
        source: see `read_questions`.
    """
    asked = read_questions(source)
    correctors: dict[str, Corrector] = {}
    while chunk := list(islice(asked, _CHUNK)):
        names = [_database(one, questions) for one in chunk]
        chunk = [one.in_numbers() if questions.opened(name) else one for one, name in zip(chunk, names, strict=True)]
        items = [_encoded(one, name, questions) for one, name in zip(chunk, names, strict=True)]
        decoded = dict(decode(model, items, questions, config, placement, beam_size=config.beam_size))
        for index, (one, name, item) in enumerate(zip(chunk, names, items, strict=True)):
            file = questions.opened(name)
            if file is not None and name not in correctors:
                correctors[name] = Corrector(file, questions.schemas[name])
            answers, correction = _answered(
                one, name, item, decoded[index], questions, correctors.get(name), run=config.execution_filter
            )
            yield _record(one, name, answers, name not in questions.missing, correction)


def read_questions(source: Any) -> Iterator[Asked]:
    """Yield questions.

    Args:
        source: a .csv with columns question and db_id, a .jsonl with these keys or `database` (a file), a .json of
            Spider's or BIRD's form, whose databases stand in the same folder or are known; any other file with lines
            `question TAB db_id`; or Python values: mappings with such keys, or pairs.
    Raises: UserError naming the place and what is missing.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.exists():
            raise UserError(f"{path}: no such file: give a .csv, .jsonl, or lines of question TAB db_id")
        yield from _from_file(path)
        return
    if not isinstance(source, Iterable):
        raise UserError(f"{shortened(source)} is no question: give a path, or a list of pairs (question, database)")
    for number, one in enumerate(source, start=1):
        where = f"question {number}"
        if not isinstance(one, Mapping | tuple | list) or (not isinstance(one, Mapping) and len(one) != 2):
            raise UserError(f"{where} is no pair (question, database) and no mapping with both: give one")
        yield _asked(one if isinstance(one, Mapping) else {"question": one[0], "database": one[1]}, where)


def write_predictions(records: Iterator[Record], out: Path, form: str, source: Any) -> int:
    """Write records; return their number. "jsonl": an object a line; "sql": one query a line, as Spider's script reads
    it; "auto": by the suffix, JSON lines unless it is .sql or .txt.

    Raises: UserError for an unknown form.
    """
    if form not in (*FORMS, "auto"):
        raise UserError(f"{out}: unknown form '{form}' of predictions: {did_you_mean(form, FORMS)}; say --format")
    if form == "auto":
        form = "sql" if out.suffix.lower() in {".sql", ".txt"} else "jsonl"
    count = 0
    with atomic_text(out) as file:
        for count, record in enumerate(records, start=1):  # noqa: B007 - the last value is the answer
            # One query a line, even over a database with line breaks in its names.
            print(one_line(record["sql"]) if form == "sql" else json.dumps(record, ensure_ascii=False), file=file)
    return count


def _from_file(path: Path) -> Iterator[Asked]:
    readers = {".csv": _from_csv, ".jsonl": _from_jsonl, ".json": _from_json}
    return readers.get(path.suffix.lower(), _from_lines)(path)


def _from_csv(path: Path) -> Iterator[Asked]:
    for where, row in csv_rows(path, ("question", "db_id")):
        yield _asked(row, where)


def _from_jsonl(path: Path) -> Iterator[Asked]:
    for number, line in enumerate(decoded_lines(path), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except RecursionError:
                raise UserError(f"{path}:{number} is no JSON (too deeply nested): one object a line") from None
            except ValueError as error:
                raise UserError(f"{path}:{number} is no JSON ({error}): one object a line") from None
            yield _asked(row if isinstance(row, dict) else {}, f"{path}:{number}")


def _from_json(path: Path) -> Iterator[Asked]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise UserError(f"{path} holds no list of questions: is this Spider's or BIRD's dev.json?")
    databases = SpiderFolder(path.parent).databases
    for number, row in enumerate(rows, start=1):
        asked = _asked(row if isinstance(row, dict) else {}, f"{path}:{number}")
        yield replace(asked, file=find_database(databases, asked.database))


def _from_lines(path: Path) -> Iterator[Asked]:
    for number, line in enumerate(decoded_lines(path), start=1):
        if line.strip():
            question, tab, database = line.rstrip("\r\n").rpartition("\t")
            if not tab:
                raise UserError(f"{path}:{number} names no database: write the question, a tab, and its db_id")
            yield _asked({"question": question, "database": database.strip()}, f"{path}:{number}")


def _asked(row: Mapping[str, Any], where: str) -> Asked:
    question, database = row.get("question"), row.get("database") or row.get("db_id")
    if not question or not database:
        raise UserError(f"{where} has no {'db_id' if question else 'question'}: both are needed")
    if not isinstance(question, str) or not isinstance(database, str | Path):
        raise UserError(f"{where}: the question and its database must be texts: write them in quotes")
    asked = Asked(question, str(database), where)
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in asked.question + asked.database):
        raise UserError(f"{where}: holds a NUL or half a surrogate pair: remove it")
    return asked


def _database(asked: Asked, questions: Questions) -> str:
    """A known name, or a file that becomes known."""
    file = Path(asked.database) if os.path.isfile(asked.database) else asked.file
    if asked.database in questions.schemas or file is None:
        return asked.database
    try:
        return questions.add_database(file)
    except UserError as error:
        raise UserError(f"{asked.place}: {error}") from None


def _encoded(asked: Asked, name: str, questions: Questions) -> Any:
    try:
        return questions.encode(asked.read or asked.question, name)[0]
    except UserError as error:
        raise UserError(f"{asked.place}: {error}") from None


def _answered(
    asked: Asked,
    name: str,
    item: Item,
    answers: list[Answer],
    questions: Questions,
    corrector: Corrector | None,
    *,
    run: bool,
) -> tuple[list[Answer], Correction]:
    """The answers, best first, and what the rules make of the best; of a guess they leave all but its dates alone."""
    schema = questions.automaton(item).schema
    linked = None if corrector is None else questions.as_read(questions.link(asked.read or asked.question, name), item)
    if linked is not None:
        answers = reranked(linked, schema, answers)
    if run:
        answers = running_first(answers, questions.file(schema.db_id))
    if corrector is None or linked is None or not answers:
        return answers, Correction(best(answers))
    actions = () if answers[0].refusal else answers[0].actions
    return answers, corrector.correct(answers[0].sql, actions, linked, schema)


def _record(asked: Asked, name: str, answers: list[Answer], cells: bool, correction: Correction) -> Record:
    refusal = answers[0].refusal if answers else ""
    notes = [f"{refusal}: the join is a guess, check it"] if refusal else []
    return {
        "question": asked.question,
        "db_id": name,
        "sql": correction.sql,
        "score": answers[0].score if answers else None,
        "alternatives": [{"sql": one.sql, "score": one.score, "log_prob": one.log_prob} for one in answers],
        "cells": cells,
        "notes": [*notes, *asked.told, *correction.notes, *([correction.doubt] if correction.doubt else [])],
    }
