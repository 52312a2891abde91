"""Columns that hold days, and in which form: the cells looked at propose one, and SQLite confirms it.

A form is confirmed if its SQL makes a day of each cell. That also tells whether 03/15/2018 begins with the month or the
day: both forms fit only where no cell has a number above 12 in either place.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from normlab.data.sql.date_forms import ISO, NUMBERS, TEXTS, DateForm
from normlab.data.sql.kept_open import bounded_rows, reading
from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite_schema import quoted
from normlab.data.text.word_forms import words_of

CELLS_LOOKED_AT = 200
"""Cells of a column, its first ones, that must all be dates."""
_CONFIRMED = 50_000
"""Rows of a column in which each cell must be a day by the form's SQL, where it is not ISO."""
_ISO = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?Z?)?")
_TELLING = frozenset(("date", "datetime", "timestamp", "time", "day", "epoch", "dob", "birthday", "birthdate", "when"))
_TELLING_LAST = frozenset(("at", "on", "created", "updated", "modified", "since", "until"))
_LIKE_DAYS = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?!\d)|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b.*\d|\d{6,8}",
    re.IGNORECASE,
)
_FEW = 3
"""Different numbers such as 20180315, at least, that are days though no name says so."""


class DateColumns:
    """Columns of one database; each is looked at once.

    Args:
        path: the SQLite file; it is only read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forms: dict[tuple[str, str], DateForm | None] = {}
        self._odd: dict[tuple[str, str], str] = {}

    def form(self, schema: Schema, column: int) -> DateForm | None:
        """Return the form of a column's dates, None if it holds none or they are in no one form that is known.

        Raises: `UserError` if the file cannot be opened.
        """
        name = _name(schema, column)
        if name not in self._forms:
            with reading(self._path) as connection:
                cells = sample(connection, schema, column)
                self._forms[name] = form = _form_of(connection, schema, column, cells)
            self._odd[name] = "" if form else _odd_date(schema, column, cells)
        return self._forms[name]

    def odd(self, schema: Schema, column: int) -> str:
        """Return a cell of a column of dates that are in no one form that is known; "" for any other column.

        Raises: `UserError` if the file cannot be opened.
        """
        self.form(schema, column)
        return self._odd[_name(schema, column)]


def sample(connection: sqlite3.Connection, schema: Schema, number: int) -> list[object]:
    """Return the first cells of a column that are not NULL; none where they cannot be read, or not in bounded time."""
    column = schema.columns[number]
    name, table = quoted(column.name), quoted(schema.tables[column.table].name)
    rows = f"SELECT t.{name} AS c FROM {table} AS t LIMIT {20 * CELLS_LOOKED_AT}"
    query = f"SELECT c FROM ({rows}) WHERE c IS NOT NULL LIMIT {CELLS_LOOKED_AT}"
    return [cell for (cell,) in bounded_rows(connection, query) or ()]


def _form_of(connection: sqlite3.Connection, schema: Schema, number: int, cells: Sequence[object]) -> DateForm | None:
    texts = [str(cell) for cell in cells if cell != ""]
    if not texts:
        return None
    if all(isinstance(cell, str) for cell in cells):
        if all(map(_ISO.fullmatch, texts)):
            return ISO if len(texts) == len(cells) else ISO.without_blanks()
        forms = TEXTS
    elif all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells):
        forms = NUMBERS if _says_time(schema, number) else NUMBERS[:1] if _may_be_days(schema, number, texts) else ()
        texts = [text.removesuffix(".0") for text in texts]
    else:
        return None
    fitting = [form for form in forms if all(map(form.matches, texts))]
    confirmed: dict[str, DateForm] = {}
    for form in fitting:
        for one in _variants(form, texts, blanks=len(texts) < len(cells)):
            if form.kind not in confirmed and _confirms(connection, schema, number, one):
                confirmed[form.kind] = one
    if len(confirmed) < 2:
        return next(iter(confirmed.values()), None)
    german = confirmed.get("D.M.Y")
    if german:  # with dots the day stands first
        return german
    first = next(iter(confirmed.values()))
    return replace(first, rivals=True)


def _variants(form: DateForm, texts: Sequence[str], *, blanks: bool) -> Iterator[DateForm]:
    timed = any(":" in text for text in texts)
    for one in form.with_times() if timed else (form,):
        yield one.without_blanks() if blanks else one


def _confirms(connection: sqlite3.Connection, schema: Schema, number: int, form: DateForm) -> bool:
    column = schema.columns[number]
    name, table = quoted(column.name), quoted(schema.tables[column.table].name)
    rows = f"SELECT t.{name} AS c FROM {table} AS t LIMIT {_CONFIRMED}"
    query = f"SELECT 1 FROM ({rows}) WHERE c IS NOT NULL AND c != '' AND date({form.day_of('c')}) IS NULL LIMIT 1"
    return bounded_rows(connection, query) == []


def _says_time(schema: Schema, number: int) -> bool:
    column = schema.columns[number]
    words = words_of(column.natural)
    return column.type == "time" or bool(_TELLING & set(words)) or words[-1:] in [[word] for word in _TELLING_LAST]


def _may_be_days(schema: Schema, number: int, texts: Sequence[str]) -> bool:
    keys = {*schema.primary_keys, *(column for pair in schema.foreign_keys for column in pair)}
    return number not in keys and len(set(texts)) >= _FEW


def _odd_date(schema: Schema, number: int, cells: Sequence[object]) -> str:
    texts = [cell for cell in cells if isinstance(cell, str) and cell.strip()]
    like = [text for text in texts if _LIKE_DAYS.search(text)]
    if not _says_time(schema, number) or 2 * len(like) < len(texts) or not like:
        return ""
    return next((text for text in like if not _ISO.fullmatch(text)), like[0])


def _name(schema: Schema, number: int) -> tuple[str, str]:
    column = schema.columns[number]
    return schema.tables[column.table].name, column.name
