"""Text-to-SQL on a CPU: scoring predictions, linking a question to a schema, answering it, and training.

Where no folder of databases is given, small made-up ones are used: real ones have more cells and longer queries.
"""

from __future__ import annotations

import difflib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import torch

from normlab.bench.row import Row, faster, rate
from normlab.bench.timing import Settings, compare, measure
from normlab.bench.training import OwnTraining
from normlab.data.sql.cells import index_cells
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import Example, SpiderFolder
from normlab.data.sql.sqlite import open_readonly
from normlab.data.sql.toy import write_toy
from normlab.engine.api import load_run
from normlab.errors import UserError
from normlab.tasks.text2sql.config import SETTINGS, Text2SqlConfig
from normlab.tasks.text2sql.evaluation import evaluate_rows
from normlab.tasks.text2sql.linking.linker import Linker
from normlab.tasks.text2sql.task import TASK

_QUERIES, _QUESTIONS, _DATABASES = 300, 40, 8


def rows(settings: Settings) -> Iterator[Row]:
    """Yield scoring with and without execution, and linking."""
    with tempfile.TemporaryDirectory() as folder:
        spider = SpiderFolder(settings.spider) if settings.spider else write_toy(folder)
        if not spider.val:
            raise UserError(f"{spider.root}: holds no validation questions to measure with")
        name = settings.spider.name if settings.spider else "made-up databases"
        yield from scoring_rows(spider, name, settings)
        yield linking_row(spider, name, settings)
        yield answering_row(spider, name, settings)
    yield training_row(settings)


def scoring_rows(spider: SpiderFolder, name: str, settings: Settings) -> Iterator[Row]:
    """Gold against gold: what exact match alone costs, and with execution of both queries."""
    chosen = _spread_out(spider.val, 20 if settings.quick else _QUERIES)
    gold = [(row.query, row.db_id) for row in chosen]
    answers = [row.query for row in chosen]
    for databases, what in ((None, "exact match"), (spider.root / "database", "exact match and execution")):

        def score(databases: Path | None = databases) -> object:
            return evaluate_rows(gold, answers, schemas=spider.schemas, databases=databases)

        seconds = measure(score, settings)
        yield rate(f"scoring {len(gold)} predictions of {name}: {what}", "queries/s", seconds, len(gold))


def linking_row(spider: SpiderFolder, name: str, settings: Settings) -> Row:
    """Linking a question beside comparing it with every cell, the cells at hand for both."""
    by_database: dict[str, list[Example]] = {}
    for row in _spread_out(spider.val, 20 if settings.quick else _QUESTIONS):
        if len(by_database) < _DATABASES or row.db_id in by_database:
            by_database.setdefault(row.db_id, []).append(row)
    linkers: dict[str, Linker] = {}
    cells: dict[str, list[str]] = {}
    for db_id in by_database:
        schema, database = spider.schema(db_id), spider.database(db_id)
        linkers[db_id] = Linker(schema, index_cells(database, schema))
        cells[db_id] = text_cells(database, schema)
    questions = [row for rows in by_database.values() for row in rows]

    def by_index() -> object:
        return [linkers[row.db_id].link(row.question) for row in questions]

    def by_scan() -> object:
        return [scanned(row.question, cells[row.db_id]) for row in questions]

    comparison = compare(by_scan, by_index, settings)
    return faster(
        f"linking {len(questions)} questions of {name} to names and cells",
        "a scan of every text cell (longest common part, difflib)",
        comparison,
        details={
            "cells": sum(map(len, cells.values())),
            "ms_per_question": comparison.own.median / len(questions) * 1e3,
        },
    )


def answering_row(spider: SpiderFolder, name: str, settings: Settings) -> Row:
    """Questions answered by the model that is installed with normlab, from text to the query that runs."""
    run = load_run("spider-sql", beam_size=8)
    rows = _spread_out(spider.val, 5 if settings.quick else 2 * _QUESTIONS)
    pairs = [(row.question, str(spider.database(row.db_id))) for row in rows]

    def answer() -> object:
        torch.set_num_threads(settings.threads)  # the model takes all cores when it is opened
        return list(run.predict(pairs))

    answer()  # databases are read and indexed once
    seconds = measure(answer, settings)
    return rate(f"answering {len(pairs)} questions of {name}, spider-sql, beam 8", "questions/s", seconds, len(pairs))


def training_row(settings: Settings) -> Row:
    """Training steps of encoder and decoder with attention on the made-up databases; nothing to compare with."""
    values = {"threads": settings.threads, "device": "cpu"}
    config = SETTINGS.make("smoke" if settings.quick else "demo", values, "bench")
    assert isinstance(config, Text2SqlConfig)
    training = OwnTraining(TASK, config, TASK.prepare(config), 2)
    steps = training()
    what = f"training encoder and decoder, {config.batch_size} questions a step, made-up databases"
    return rate(what, "questions/s", measure(training, settings), steps * config.batch_size)


def scanned(question: str, cells: list[str]) -> list[tuple[str, float]]:
    """Baseline: rate every cell by the longest part that it shares with the question, and keep those well matched."""
    lowered = question.lower()
    matches = []
    for cell in cells:
        low = cell.lower()
        size = difflib.SequenceMatcher(None, lowered, low).find_longest_match().size
        if low and size / len(low) >= 0.85:
            matches.append((cell, size / len(low)))
    return matches


def text_cells(database: Path | None, schema: Schema, most: int = 500) -> list[str]:
    """Return the distinct text cells of a database, at most so many of a column."""
    if database is None:
        return []
    cells: list[str] = []
    with closing(open_readonly(database)) as connection:
        for column in schema.columns:
            if column.table >= 0 and column.type == "text":
                table, name = (f'"{word}"' for word in (schema.tables[column.table].name, column.name))
                try:
                    rows = connection.execute(f"SELECT DISTINCT {name} FROM {table} LIMIT {most}").fetchall()
                except sqlite3.Error:
                    continue  # some of Spider's files hold text that is not UTF-8
                cells += [cell for (cell,) in rows if isinstance(cell, str)]
    return cells


def _spread_out(rows: list[Example], count: int) -> list[Example]:
    """Return so many examples, evenly over the list, so that many databases are met."""
    return list(islice(cycle(rows[:: max(1, len(rows) // count)]), min(count, len(rows))))
