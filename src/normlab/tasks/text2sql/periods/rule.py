"""A reading that compares a period with what holds none, with a condition on the column of dates that is meant instead.

Only where nothing is guessed: one plain SELECT, conditions joined by AND, one column of ISO dates in the tables that it
reads, or one that the question's words choose, no column of years among the conditions, and no cell that equals what is
compared. Everything else stays as the model wrote it. Dates in another form (`data/sql/date_forms.py`) are compared by
their days; of those in no one form that is known the rule says so.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from normlab.data.sql.date_columns import DateColumns
from normlab.data.sql.date_forms import DateForm
from normlab.data.sql.schema import Schema, quote
from normlab.data.text.word_forms import stem, words_of
from normlab.tasks.text2sql.periods.cells import EVER, PeriodCells
from normlab.tasks.text2sql.periods.choosing import choose_date_column
from normlab.tasks.text2sql.periods.numeric_days import in_iso
from normlab.tasks.text2sql.periods.period import Period, period_of
from normlab.tasks.text2sql.periods.plain_query import (
    CONDITION,
    LAST,
    PLAIN,
    TABLE,
    bare,
    constants_of,
    counted,
    masked,
    names_only,
)

_DAY = re.compile(r"'\d{4}-\d\d-\d\d'")
_OR = re.compile(r"\b(?:or|either)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Dated:
    """A query that the rule wrote.

    Attributes:
        sql: the query; the one that was given where there is a doubt.
        note: a line for the reader that says that the rule wrote it.
        told: lines that tell which days are meant and how the column's dates were read, where that is not plain.
        doubt: why the period cannot be a condition, though the question names one; "" if it is.
    """

    sql: str
    note: str = ""
    told: tuple[str, ...] = ()
    doubt: str = ""

    @property
    def notes(self) -> list[str]:
        """The lines for the reader."""
        return [line for line in (self.note, *self.told) if line]


class PeriodRule:
    """The rule over one database.

    Args:
        path: the SQLite file; it is only read.
        schema: its schema.
        dates: its columns of dates, if they are known already.
    """

    def __init__(self, path: Path, schema: Schema, dates: DateColumns | None = None) -> None:
        self._schema, self._dates = schema, dates or DateColumns(path)
        self._cells = PeriodCells(path, schema, self._dates)

    def apply(
        self, question: str, sql: str, today: datetime.date | None = None, *, model_sql: str | None = None
    ) -> Dated | None:
        """Return a reading's query with the question's period as a condition; None if the rule does not apply.

        Args:
            model_sql: what the model wrote, for the note; `sql` if None.
        Raises: `UserError` if the file cannot be opened.
        """
        plain = PLAIN.fullmatch(masked(sql))
        if plain is None or sql.count("SELECT") != 1:
            return None
        source = sql[plain.start("source") : plain.end("source")]
        where = sql[plain.start("where") : plain.end("where")] if plain["where"] else ""
        tables = self._tables(source)
        question, numeric = in_iso(question, lambda: self._forms(tables))
        period = period_of(question, today, EVER)
        conditions = list(CONDITION.finditer(where))
        if period is None or (period.noun and not self._is_table(period.noun, tables)):
            return None
        texts = [match.group() for match in conditions]
        by_or = " OR ".join(texts) == where and len(texts) == 2 and not _OR.search(question)
        if " AND ".join(texts) != where and not by_or:
            return None
        chosen = self._chosen(question, tables, conditions, period)
        period = None if chosen is None else period_of(question, today, self._cells.newest(chosen[1]))
        if chosen is None or period is None:
            return self._impossible(sql, conditions, tables, period_of(question, today, EVER))
        period = period.with_words(numeric)
        if any(constant in period.words for constant in constants_of(counted(sql[plain.start("rest") :]))):
            return None
        (alias, number), kept = chosen, []
        form = self._form(number)
        for match in conditions:
            column = tables.get(match["alias"] or "", {}).get(bare(match["column"]))
            if column is None or (column == number and _compares_dates(match, period, form)):
                return None
            by_name = names_only(match, period)
            if self._cells.holds_years(column) or (by_name and self._cells.may_be_meant(column, period)):
                return None
            if not by_name and column != number:
                kept.append(match.group())
        if by_or and len(kept) > 1:
            return None
        if doubt := self._doubt(number, form, period):
            return Dated(sql, doubt=doubt)
        assert form is not None, "else there is a doubt"
        name = quote(self._schema.columns[number].name)
        day = form.day_of(f"{alias}.{name}" if alias else name)
        condition = period.condition(day, days_only=form.days)
        before = sql[: plain.start("source")]
        after = f" WHERE {' AND '.join([*kept, condition])}{sql[plain.start('rest') :]}"
        if len(kept) < len(conditions):
            source = self._without_idle(source, before + after)
        text = f"{before}{source}{after}"
        table = self._schema.tables[self._schema.columns[number].table].name
        written = "" if form.is_iso else f" ({form.name})"
        note = f"by a rule for dates over {table}.{name}{written}, not by the model, which wrote: {model_sql or sql}"
        return Dated(text, note, tuple(line for line in (period.told, form.told) if line))

    def unsaid(self, question: str, sql: str, today: datetime.date | None = None) -> str:
        """Return the period of a question that a query says nothing of, "" if it names one of its words, or none is."""
        period = period_of(question, today, EVER)
        if period is None or period.noun:
            return ""
        said = {word for constant in constants_of(sql) for word in constant.split()}
        if said & {*" ".join(period.words).split()}:
            return ""
        return f"'{max(period.words, key=lambda text: (any(map(str.isalpha, text)), len(text), text))}'"

    def _chosen(
        self,
        question: str,
        tables: Mapping[str, Mapping[str, int]],
        conditions: Sequence[re.Match[str]],
        period: Period,
    ) -> tuple[str, int] | None:
        """The alias and number of the column of dates, in whatever form, that the question means.

        Where its words do not tell, the one column of dates that the query itself compares with the period is meant.
        """
        aliases = {column: alias for alias, table in reversed(list(tables.items())) for column in table.values()}
        columns = [column for column in sorted(aliases) if self._form(column) or self._odd(column)]
        number = choose_date_column(question, columns, self._schema) if columns else None
        if number is None:
            compared = {
                tables.get(match["alias"] or "", {}).get(bare(match["column"]))
                for match in conditions
                if names_only(match, period)
            }
            number = compared.pop() if len(compared) == 1 and compared <= {*columns} else None
        return None if number is None else (aliases[number], number)

    def _forms(self, tables: Mapping[str, Mapping[str, int]]) -> list[DateForm]:
        columns = {column for table in tables.values() for column in table.values()}
        return [form for column in sorted(columns) if (form := self._form(column))]

    @staticmethod
    def _without_idle(source: str, rest: str) -> str:
        """FROM without a last table that nothing uses any more: it would repeat rows, or drop some."""
        match = LAST.fullmatch(source)
        return source if match is None or re.search(rf"\b{match['alias']}\.", rest) else match["before"]

    def _impossible(
        self,
        sql: str,
        conditions: Sequence[re.Match[str]],
        tables: Mapping[str, Mapping[str, int]],
        period: Period | None,
    ) -> Dated | None:
        """The doubt about a query that compares the period with what no row has, where no column of dates is meant."""
        for match in conditions:
            column = tables.get(match["alias"] or "", {}).get(bare(match["column"]))
            equal = match["sign"] in ("=", "LIKE")
            if period is None or column is None or not equal or not names_only(match, period):
                continue
            condition = f"{match['sign']} {match['constant']}"
            if not self._cells.are_years(column) and self._cells.is_never(column, condition):
                name = f"{self._cells.table_of(column)}.{self._schema.columns[column].name}"
                return Dated(
                    sql,
                    doubt=f"the tables of this query have no column of dates that is plainly meant, and no row has "
                    f"{name} {condition}",
                )
        return None

    def _is_table(self, noun: str, tables: Mapping[str, Mapping[str, int]]) -> bool:
        """Whether a noun names one of the query's tables."""
        numbers = {self._schema.columns[column].table for table in tables.values() for column in table.values()}
        return any(stem(noun) == stem(word) for n in numbers for word in words_of(self._schema.tables[n].natural))

    def _form(self, column: int) -> DateForm | None:
        return self._dates.form(self._schema, column)

    def _odd(self, column: int) -> str:
        return self._dates.odd(self._schema, column)

    def _doubt(self, column: int, form: DateForm | None, period: Period) -> str:
        """Why a column of dates cannot be compared with a period, "" if it can."""
        name = f"{self._cells.table_of(column)}.{self._schema.columns[column].name}"
        if form is None:
            return (
                f"{name} has dates such as '{self._odd(column)}', in no one form that is known, "
                "so they cannot be compared with those of the question"
            )
        if form.rivals and not period.whole_years:
            return (
                f"of the dates of {name} nothing says whether day or month stands first, "
                "so they cannot be compared with those of the question"
            )
        return ""

    def _tables(self, source: str) -> Mapping[str, Mapping[str, int]]:
        """Alias, "" for none, -> the table's columns by their names in lower case."""
        numbers = {table.name.lower(): number for number, table in enumerate(self._schema.tables)}
        found: dict[str, dict[str, int]] = {}
        for match in TABLE.finditer(source):
            table = numbers.get(bare(match["table"]), -2)
            columns = self._schema.columns_of(table)
            found[match["alias"] or ""] = {self._schema.columns[column].name.lower(): column for column in columns}
        return found


def _compares_dates(match: re.Match[str], period: Period, form: DateForm | None) -> bool:
    """Whether a condition on the dates compares them in their own form: with another constant, or LIKE '2024%'."""
    if form is None:
        return match["sign"] == "LIKE"
    if not form.is_iso:
        constants = [match[group].strip("'") for group in ("constant", "low", "high") if match[group]]
        return not names_only(match, period) and not all(map(form.iso, constants))
    if not names_only(match, period) or (match["sign"] == "LIKE" and re.search(r"\d%", match["constant"])):
        return True
    return bool(match["sign"] and match["sign"] == period.sign and _DAY.fullmatch(match["constant"]))
