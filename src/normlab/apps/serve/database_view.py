"""Databases that are open in the playground, and an answer as HTML."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from normlab.apps.ask.answer import Answer
from normlab.apps.ask.database import Database
from normlab.apps.serve import markup
from normlab.apps.serve.limits import Limits
from normlab.apps.serve.mistakes import said
from normlab.data.sql.sqlite import QueryResult
from normlab.engine.api import Run
from normlab.errors import UserError
from normlab.plurals import plural

OPEN = 4  # databases at once; the one asked longest ago is closed for the next


class Databases:
    """The databases that were asked last, so that a further question waits for no indexing.

    Args:
        models: title -> run of text2sql.
    """

    def __init__(self, models: Mapping[str, Run], limits: Limits) -> None:
        self._models = models
        self._limits = limits
        self._open: OrderedDict[tuple[Path, str], Database] = OrderedDict()
        self._lock = threading.Lock()  # held while one is used, so that none is closed under a query

    def question(self, path: Path, model: str, text: str) -> Answer:
        """Answer a question. Raises: UserError as `Database.question`."""
        self._refuse_long(text, "question")
        with self._lock:
            return self._database(path, model).question(text, limit=self._limits.rows, seconds=self._limits.seconds)

    def run(self, path: Path, model: str, sql: str) -> QueryResult:
        """Run a query, read-only. Raises: QueryError; UserError for a file that is no database."""
        if not sql.strip():
            raise UserError("the query is empty: write one, or ask a question")
        self._refuse_long(sql, "query")
        with self._lock:
            return self._database(path, model).run(sql, limit=self._limits.rows, seconds=self._limits.seconds)

    def describe(self, path: Path, model: str) -> str:
        """Return a database's tables and columns, and what was made of its files, as HTML."""
        with self._lock:
            database = self._database(path, model)
            schema = database.schema
            rows = [
                (
                    f"<b>{markup.escaped(table.name)}</b>",
                    markup.escaped(", ".join(column.name for column in schema.columns if column.table == number)),
                )
                for number, table in enumerate(schema.tables)
            ]
            return markup.table(("table", "columns"), rows) + markup.notes(said(line) for line in database.notes)

    def close(self) -> None:
        """Close all, which removes what was made for them."""
        while self._open:
            self._open.popitem()[1].close()

    def _database(self, path: Path, model: str) -> Database:
        key = (path, model)
        if key not in self._open:
            if model not in self._models:
                raise UserError(f"no model {model!r} is open here: choose one of the list")
            self._open[key] = Database(path, self._models[model])
            while len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return self._open[key]

    def _refuse_long(self, text: str, what: str) -> None:
        most = self._limits.characters
        if len(text) > most:
            raise UserError(f"the {what} has {len(text):,} characters, at most {most:,} are taken: shorten it")


def rows_of(columns: Any, rows: Any, truncated: bool) -> str:
    """Return a result as a table, with its number of rows."""
    if not columns:
        return ""
    more = ", and there are more" if truncated else ""
    count = plural(len(rows), "row") + more
    return markup.table(columns, ([markup.value_cell(cell) for cell in row] for row in rows), caption=count)


def links_of(answer: Answer) -> str:
    """Return what the question's words name, as HTML."""
    named: dict[str, list[str]] = {}
    for link in answer.links:
        named.setdefault(link.word, []).append(f"{link.kind} {link.name}")
    if not named:
        return markup.notes(["no word of the question names a table, a column or a cell"])
    rows = [(f"<b>{markup.escaped(word)}</b>", markup.escaped(", ".join(names))) for word, names in named.items()]
    return markup.table(("word", "names"), rows)


def readings_of(answer: Answer) -> list[tuple[str, str]]:
    """Return (label, query) of each reading, best first, for a list to choose from."""
    return [
        (f"{'example' if one.by_example else markup.percent(one.probability)}  {one.sql}", one.sql)
        for one in answer.readings
    ]


def sureness_of(answer: Answer) -> str:
    """Return how sure the first reading is, as a line."""
    if answer.confidence is not None:
        return f"answers of this probability are right in {100 * answer.confidence:.0f} % of cases"
    return f"probability {markup.percent(answer.probability)} by the model; its confidence is not calibrated"
