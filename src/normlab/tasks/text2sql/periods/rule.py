"""A reading that compares a period with what holds none, with a condition on the column of dates that is meant instead.

Only where nothing is guessed: one plain SELECT, conditions joined by AND, one column of ISO dates in the tables that it
reads, or one that the question's words choose, no column of years among the conditions, and no cell that equals what is
compared. Everything else stays as the model wrote it.
"""

from __future__ import annotations

import datetime
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from normlab.data.sql.iso_dates import date_columns, sample
from normlab.data.sql.schema import Schema, quote
from normlab.data.sql.sqlite import open_readonly
from normlab.data.sql.sqlite_schema import quoted
from normlab.tasks.text2sql.periods.choosing import choose_date_column
from normlab.tasks.text2sql.periods.period import Period, period_of
from normlab.tasks.text2sql.periods.period import plain as plain_form

_NAME = r'(?:"(?:[^"]|"")+"|\w+)'
_CONSTANT = r"(?:'(?:[^']|'')*'|-?\d+(?:\.\d+)?)"
_CONDITION = re.compile(
    rf"(?:(?P<alias>T\d+)\.)?(?P<column>{_NAME}) (?:(?P<sign>=|<=|>=|<|>|LIKE) (?P<constant>{_CONSTANT})"
    rf"|BETWEEN (?P<low>{_CONSTANT}) AND (?P<high>{_CONSTANT}))"
)
_TABLE = re.compile(rf"(?:FROM|JOIN) (?P<table>{_NAME})(?: AS (?P<alias>T\d+))?")
_PLAIN = re.compile(
    r"SELECT .+? (?P<source>FROM .+?)(?: WHERE (?P<where>.+?))?(?P<rest>(?: (?:GROUP BY|ORDER BY|LIMIT) .+)?)"
)
_LAST = re.compile(rf"(?P<before>.+) JOIN {_NAME} AS (?P<alias>T\d+) ON .+? = (?P=alias)\.(?P<column>{_NAME})")
_DAY = re.compile(r"'\d{4}-\d\d-\d\d'")
_YEARS = range(1000, 2101)
_EVER = "9999-12-31"


@dataclass(frozen=True)
class Dated:
    """A query that the rule wrote, a line for the reader that says so, and one that tells which days are meant.

    The latter is "" where the question says so itself.
    """

    sql: str
    note: str
    told: str = ""

    @property
    def notes(self) -> list[str]:
        """The lines for the reader."""
        return [self.note, *([self.told] if self.told else [])]


class PeriodRule:
    """The rule over one database.

    Args:
        path: the SQLite file; it is only read.
        schema: its schema.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self._path, self._schema = path, schema
        self._known: dict[int, bool] = {}  # column -> whether it holds dates

    def apply(
        self, question: str, sql: str, today: datetime.date | None = None, *, model_sql: str | None = None
    ) -> Dated | None:
        """Return a reading's query with the question's period as a condition; None if the rule does not apply.

        Args:
            model_sql: what the model wrote, for the note; `sql` if None.
        Raises: `UserError` if the file cannot be opened.
        """
        period = period_of(question, today, _EVER)
        plain = _PLAIN.fullmatch(_masked(sql))
        if period is None or plain is None or sql.count("SELECT") != 1:
            return None
        source = sql[plain.start("source") : plain.end("source")]
        tables = self._tables(source)
        if any(constant in period.words for constant in _constants(sql[plain.start("rest") :])):
            return None  # a number after HAVING or LIMIT
        where = sql[plain.start("where") : plain.end("where")] if plain["where"] else ""
        conditions = list(_CONDITION.finditer(where))
        if " AND ".join(match.group() for match in conditions) != where:
            return None
        chosen = self._chosen(question, tables)
        period = None if chosen is None else period_of(question, today, self._newest(chosen[1]))
        if chosen is None or period is None:
            return None
        (alias, number), kept = chosen, []
        for match in conditions:
            column = tables.get(match["alias"] or "", {}).get(_bare(match["column"]))
            if column is None or (column == number and _compares_dates(match, period)):
                return None
            if self._holds_years(column) or (_names_only(match, period) and self._may_be_meant(column, period)):
                return None
            if not _names_only(match, period):
                kept.append(match.group())
        name = quote(self._schema.columns[number].name)
        condition = period.condition(f"{alias}.{name}" if alias else name)
        before = sql[: plain.start("source")]
        after = f" WHERE {' AND '.join([*kept, condition])}{sql[plain.start('rest') :]}"
        if len(kept) < len(conditions):
            source = self._without_idle(source, before + after, tables)
        text = f"{before}{source}{after}"
        table = self._schema.tables[self._schema.columns[number].table].name
        note = f"by a rule for dates over {table}.{name}, not by the model, which wrote: {model_sql or sql}"
        return Dated(text, note, period.told)

    def _chosen(self, question: str, tables: Mapping[str, Mapping[str, int]]) -> tuple[str, int] | None:
        """The alias and number of the column of dates that the question means."""
        dates = self._dates([column for table in tables.values() for column in table.values()])
        aliases = {column: alias for alias, table in reversed(list(tables.items())) for column in table.values()}
        columns = [column for column in sorted(aliases) if column in dates]
        number = choose_date_column(question, columns, self._schema) if columns else None
        return None if number is None else (aliases[number], number)

    def _without_idle(self, source: str, rest: str, tables: Mapping[str, Mapping[str, int]]) -> str:
        """FROM without a last table that nothing uses any more and that would repeat the rows of the others."""
        match = _LAST.fullmatch(source)
        if match is None or re.search(rf"\b{match['alias']}\.", rest):
            return source
        own = tables.get(match["alias"], {}).get(_bare(match["column"]))
        referred = {*self._schema.primary_keys, *(parent for _, parent in self._schema.foreign_keys)}
        return source if own in referred else match["before"]

    def _newest(self, column: int) -> str:
        """The newest day of a column of dates, "" if that cannot be told."""
        name, table = quoted(self._schema.columns[column].name), quoted(self._table_of(column))
        with closing(open_readonly(self._path)) as connection:
            try:
                return str(connection.execute(f"SELECT max({name}) FROM {table}").fetchone()[0] or "")
            except sqlite3.Error:
                return ""

    def _dates(self, columns: Sequence[int]) -> frozenset[int]:
        """Those of some columns that hold ISO dates; each is looked at once."""
        new = [column for column in columns if column not in self._known]
        dates = date_columns(self._path, self._schema, new) if new else frozenset()
        self._known |= {column: column in dates for column in new}
        return frozenset(column for column in columns if self._known[column])

    def _tables(self, source: str) -> Mapping[str, Mapping[str, int]]:
        """Alias, "" for none, -> the table's columns by their names in lower case."""
        numbers = {table.name.lower(): number for number, table in enumerate(self._schema.tables)}
        found: dict[str, dict[str, int]] = {}
        for match in _TABLE.finditer(source):
            table = numbers.get(_bare(match["table"]), -2)
            columns = self._schema.columns_of(table)
            found[match["alias"] or ""] = {self._schema.columns[column].name.lower(): column for column in columns}
        return found

    def _holds_years(self, column: int) -> bool:
        """Whether the cells looked at of a column that is no key all look like years."""
        with closing(open_readonly(self._path)) as connection:
            cells = sample(connection, self._schema, column)
        years = bool(cells) and all(isinstance(cell, int) and cell in _YEARS for cell in cells)
        return years and column not in self._keys()

    def _may_be_meant(self, column: int, period: Period) -> bool:
        """Whether a column, neither key nor dates, holds the very text or number that it is compared with."""
        if self._known[column] or column in self._keys():
            return False
        name, table = quoted(self._schema.columns[column].name), quoted(self._table_of(column))
        query = f"SELECT 1 FROM {table} AS t WHERE lower(CAST(t.{name} AS TEXT)) = ? LIMIT 1"
        with closing(open_readonly(self._path)) as connection:
            try:
                return any(connection.execute(query, (word,)).fetchone() for word in sorted(period.words))
            except sqlite3.Error:
                return True

    def _keys(self) -> frozenset[int]:
        return frozenset((*self._schema.primary_keys, *(one for pair in self._schema.foreign_keys for one in pair)))

    def _table_of(self, column: int) -> str:
        return self._schema.tables[self._schema.columns[column].table].name


def _compares_dates(match: re.Match[str], period: Period) -> bool:
    """Whether a condition on the dates compares them in their own form: with another constant, or LIKE '2024%'."""
    if not _names_only(match, period) or (match["sign"] == "LIKE" and re.search(r"\d%", match["constant"])):
        return True
    return bool(match["sign"] and match["sign"] == period.sign and _DAY.fullmatch(match["constant"]))


def _constants(sql: str) -> list[str]:
    return [plain_form(constant) for constant in re.findall(_CONSTANT, sql)]


def _names_only(match: re.Match[str], period: Period) -> bool:
    """Whether a condition compares with the period's own words and nothing else."""
    constants = " ".join(match[group] for group in ("constant", "low", "high") if match[group])
    return all(constant in period.words for constant in _constants(constants))


def _masked(sql: str) -> str:
    """The query with other letters in its texts and quoted names, so that no keyword is looked for inside them."""
    return re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", lambda match: "'" + "x" * (len(match.group()) - 2) + "'", sql)


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"').lower() if name.startswith('"') else name.lower()
