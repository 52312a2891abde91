"""What a database's cells say of a period: the newest day, years, and whether a word of the period is a cell itself."""

from __future__ import annotations

import re
from pathlib import Path

from normlab.data.sql.date_columns import DateColumns, sample
from normlab.data.sql.kept_open import reading
from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import SQLITE_ERRORS
from normlab.data.sql.sqlite_schema import quoted
from normlab.tasks.text2sql.periods.period import Period

EVER = "9999-12-31"
"""A newest day that is later than any."""
_YEARS = range(1000, 2101)
_YEAR = re.compile(r"(?:1\d|20)\d\d")
_ROWS = 100_000


class PeriodCells:
    """The cells of one database.

    Args:
        path: the SQLite file; it is only read.
        schema: its schema.
        dates: its columns of dates.
    """

    def __init__(self, path: Path, schema: Schema, dates: DateColumns) -> None:
        self._path, self._schema, self._dates = path, schema, dates

    def newest(self, column: int) -> str:
        """Return the newest day of a column of dates, "" if that cannot be told."""
        name, table = quoted(self._schema.columns[column].name), quoted(self.table_of(column))
        form = self._dates.form(self._schema, column)
        if form is None:
            return EVER
        with reading(self._path) as connection:
            try:
                return str(connection.execute(f"SELECT max({form.day_of(name)}) FROM {table}").fetchone()[0] or "")
            except SQLITE_ERRORS:
                return ""

    def is_never(self, column: int, condition: str) -> bool:
        """Tell whether no row of the first many fulfils a condition."""
        name, table = quoted(self._schema.columns[column].name), quoted(self.table_of(column))
        query = f"SELECT 1 FROM (SELECT t.{name} AS c FROM {table} AS t LIMIT {_ROWS}) WHERE c {condition} LIMIT 1"
        with reading(self._path) as connection:
            try:
                return connection.execute(query).fetchone() is None
            except SQLITE_ERRORS:
                return False

    def holds_years(self, column: int) -> bool:
        """Tell whether the cells looked at of a column that is no key all look like years."""
        return self.are_years(column) and column not in self.keys()

    def are_years(self, column: int) -> bool:
        """Tell whether the cells looked at of a column all look like years."""
        with reading(self._path) as connection:
            cells = sample(connection, self._schema, column)
        return bool(cells) and all(map(_is_year, cells))

    def may_be_meant(self, column: int, period: Period) -> bool:
        """Tell whether a column, neither key nor dates, holds the very text or number that it is compared with."""
        if self._dates.form(self._schema, column) or column in self.keys():
            return False
        name, table = quoted(self._schema.columns[column].name), quoted(self.table_of(column))
        query = f"SELECT 1 FROM {table} AS t WHERE lower(CAST(t.{name} AS TEXT)) = ? LIMIT 1"
        with reading(self._path) as connection:
            try:
                return any(connection.execute(query, (word,)).fetchone() for word in sorted(period.words))
            except SQLITE_ERRORS:
                return True

    def keys(self) -> frozenset[int]:
        """Return all columns of keys."""
        return frozenset((*self._schema.primary_keys, *(one for pair in self._schema.foreign_keys for one in pair)))

    def table_of(self, column: int) -> str:
        """Return the name of a column's table."""
        return self._schema.tables[self._schema.columns[column].table].name


def _is_year(cell: object) -> bool:
    return (isinstance(cell, int) and cell in _YEARS) or (isinstance(cell, str) and bool(_YEAR.fullmatch(cell)))
