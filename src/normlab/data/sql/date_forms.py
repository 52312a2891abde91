"""Forms in which databases write days, and the SQL that makes ISO dates of them: 03/15/2018, 15 Mar 2018, 20180315.

SQLite compares texts letter by letter, so only dates with the year in front can be compared as they stand. Each form
has an expression for the others; `date_columns` tells which form a column is in.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class DateForm:
    """A way to write days.

    Attributes:
        name: for people: "MM/DD/YYYY".
        pattern: what a cell looks like, as a text.
        sql: its day as an ISO text, perhaps with a time behind it; {c} stands for the column.
        sorts: whether the order of the cells' values is that of time.
        rivals: whether cells may as well have day and month exchanged, so that only their years are certain.
        days: whether no time of day stands behind the day.
        told: what a reader has to know of dates that are read so, "" for nothing.
    """

    name: str
    pattern: str
    sql: str
    sorts: bool = False
    rivals: bool = False
    days: bool = True
    told: str = ""

    @property
    def is_iso(self) -> bool:
        """Whether cells are compared with ISO dates as they stand."""
        return self.sql == "{c}"

    @property
    def kind(self) -> str:
        """Return the name with each letter once: MM/DD/YYYY and M/D/YYYY are both M/D/Y."""
        return re.sub(r"(.)\1+", r"\1", self.name)

    def day_of(self, column: str) -> str:
        """Return SQL for the ISO date of a column."""
        return self.sql.replace("{c}", column)

    def matches(self, text: str) -> bool:
        """Tell whether a text looks so."""
        return re.fullmatch(self.pattern, text.strip(), re.IGNORECASE) is not None

    def iso(self, text: str) -> str | None:
        """Return a date that is written in this form as an ISO date; None for any other text."""
        if not self.matches(text):
            return None
        with closing(sqlite3.connect(":memory:")) as connection:
            query = f"SELECT date({self.day_of('c')}) FROM (SELECT ? AS c)"
            return str(connection.execute(query, (text,)).fetchone()[0] or "") or None

    def without_blanks(self) -> DateForm:
        """Return the form of a column in which '' stands for no date."""
        return replace(self, sql=self.sql.replace("{c}", "nullif({c}, '')"))

    def with_times(self) -> Iterator[DateForm]:
        """Yield what the form may be where a time of day stands behind the day: compared with it, or without."""
        if self.sql.count("CAST") == 0:
            yield replace(self, sql=f"{self.sql} || substr({{c}}, 11)", days=False)
        yield replace(self, sorts=False, told="times of day are not compared")


_TIME = r"(?:,?[ T]+\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AP]M)?Z?)?"
_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\\.?"


def _after(sign: str, times: int = 1) -> str:
    """What stands behind a sign."""
    text = "{c}"
    for _ in range(times):
        text = f"substr({text}, instr({text}, '{sign}') + {len(sign)})"
    return text


def _padded(year: str, month: str, day: str) -> str:
    """An ISO date of numbers of any length; CAST reads the digits that a text begins with."""
    two = "substr('0' || CAST({} AS INTEGER), -2)"
    return f"substr({year}, 1, 4) || '-' || {two.format(month)} || '-' || {two.format(day)}"


def _numeric(sign: str) -> Iterator[DateForm]:
    """Three numbers with a sign between them; of two digits each first, which takes less SQL."""
    mark, first, second, third = re.escape(sign), "{c}", _after(sign), _after(sign, 2)
    two = rf"\d\d{mark}\d\d"
    for name, month, day in (("MM{0}DD{0}YYYY", 1, 4), ("DD{0}MM{0}YYYY", 4, 1)):
        sql = f"substr({{c}}, 7, 4) || '-' || substr({{c}}, {month}, 2) || '-' || substr({{c}}, {day}, 2)"
        yield DateForm(name.format(sign), rf"{two}{mark}\d{{4}}{_TIME}", sql)
    sql = "substr({c}, 1, 4) || '-' || substr({c}, 6, 2) || '-' || substr({c}, 9, 2)"
    yield DateForm(f"YYYY{sign}MM{sign}DD", rf"\d{{4}}{mark}{two}{_TIME}", sql, sorts=True)
    one = rf"\d\d?{mark}\d\d?"
    yield DateForm(f"M{sign}D{sign}YYYY", rf"{one}{mark}\d{{4}}{_TIME}", _padded(third, first, second))
    yield DateForm(f"D{sign}M{sign}YYYY", rf"{one}{mark}\d{{4}}{_TIME}", _padded(third, second, first))
    yield DateForm(f"YYYY{sign}M{sign}D", rf"\d{{4}}{mark}{one}{_TIME}", _padded(first, second, third))


def _named(name: str, pattern: str, month: str, day: str, year: str) -> DateForm:
    """A form with the name of the month."""
    number = f"(instr('{_MONTHS}', lower(substr({month}, 1, 3))) + 2) / 3"
    return DateForm(name, pattern + _TIME, _padded(year, number, day))


_COMPACT = DateForm(
    "YYYYMMDD",
    r"(?:1[5-9]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])",
    "substr({c}, 1, 4) || '-' || substr({c}, 5, 2) || '-' || substr({c}, 7, 2)",
    sorts=True,
)
_SECONDS = r"[1-3]?\d{9}"
_UTC = "since 1970 are read as days of UTC"
ISO = DateForm("YYYY-MM-DD", r"\d{4}-\d\d-\d\d", "{c}", sorts=True, days=False)
TEXTS = (
    *(form for sign in "/.-" for form in _numeric(sign)),
    _named("Mon D, YYYY", rf"{_MONTH} \d\d?, \d{{4}}", "{c}", _after(" "), _after(", ")),
    *(_named(f"D{s}Mon{s}YYYY", rf"\d\d?{s}{_MONTH}{s}\d{{4}}", _after(s), "{c}", _after(s, 2)) for s in (" ", "-")),
    _COMPACT,
)
"""Forms of texts."""
NUMBERS = (
    _COMPACT,
    DateForm("seconds", _SECONDS + r"(?:\.\d+)?", "date({c}, 'unixepoch')", sorts=True, told=f"seconds {_UTC}"),
    DateForm(
        "milliseconds", _SECONDS + r"\d{3}", "date({c} / 1000, 'unixepoch')", sorts=True, told=f"milliseconds {_UTC}"
    ),
)
"""Forms of numbers; seconds and milliseconds are numbers like any other where no name says what they are."""
