"""In which form a column's cells are dates: what SQLite makes of them is what Python wrote."""

from __future__ import annotations

import calendar
import datetime
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from normlab.data.sql.date_columns import DateColumns
from normlab.data.sql.date_forms import DateForm
from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import run_query

DAYS = [datetime.date(2016, 12, 28) + datetime.timedelta(days=step) for step in range(0, 900, 7)]
Cell = Callable[[datetime.date], object]


@pytest.fixture
def column(tmp_path: Path) -> Callable[..., tuple[DateForm | None, str, list[str | None]]]:
    """The form of a column that holds some cells, an odd cell of it, and the days that the form's SQL makes of them."""

    def look(cells: Sequence[object], name: str = "d") -> tuple[DateForm | None, str, list[str | None]]:
        path = tmp_path / "days.sqlite"
        path.unlink(missing_ok=True)
        connection = sqlite3.connect(path)
        connection.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, {name})")
        connection.executemany("INSERT INTO t VALUES (NULL, ?)", [(cell,) for cell in cells])
        connection.commit()
        schema, columns = Schema.from_sqlite(path), DateColumns(path)
        form = columns.form(schema, 2)
        connection.close()
        sql = f"SELECT date({form.day_of(name)}) FROM t ORDER BY id" if form else "SELECT NULL WHERE 0"
        made = [day for (day,) in run_query(path, sql).rows]
        return form, columns.odd(schema, 2), made

    return look


def _seconds(day: datetime.date) -> int:
    return calendar.timegm(day.timetuple()) + 3 * 3600


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("YYYY-MM-DD", str),
        ("MM/DD/YYYY", lambda d: f"{d:%m/%d/%Y}"),
        ("M/D/YYYY", lambda d: f"{d.month}/{d.day}/{d.year}"),
        ("MM/DD/YYYY", lambda d: f"{d:%m/%d/%Y} 09:30"),
        ("MM/DD/YYYY", lambda d: f"{d:%m/%d/%Y} 9:30 PM"),
        ("DD/MM/YYYY", lambda d: f"{d:%d/%m/%Y}"),
        ("D/M/YYYY", lambda d: f"{d.day}/{d.month}/{d.year} 7:05"),
        ("DD.MM.YYYY", lambda d: f"{d:%d.%m.%Y}"),
        ("D.M.YYYY", lambda d: f"{d.day}.{d.month}.{d.year}"),
        ("DD-MM-YYYY", lambda d: f"{d:%d-%m-%Y}"),
        ("YYYY/MM/DD", lambda d: f"{d:%Y/%m/%d}"),
        ("YYYY-M-D", lambda d: f"{d.year}-{d.month}-{d.day}"),
        ("Mon D, YYYY", lambda d: f"{calendar.month_abbr[d.month]} {d.day:02}, {d.year}"),
        ("Mon D, YYYY", lambda d: f"{calendar.month_name[d.month]} {d.day}, {d.year}"),
        ("D Mon YYYY", lambda d: f"{d.day} {calendar.month_abbr[d.month]} {d.year}"),
        ("D-Mon-YYYY", lambda d: f"{d.day:02}-{calendar.month_abbr[d.month].upper()}-{d.year}"),
        ("YYYYMMDD", lambda d: f"{d:%Y%m%d}"),
        ("YYYYMMDD", lambda d: int(f"{d:%Y%m%d}")),
    ],
)
def test_the_sql_of_a_form_makes_the_days_that_were_written(
    column: Callable[..., tuple], form: str, cell: Cell
) -> None:
    found, odd, made = column([cell(day) for day in DAYS])
    assert found is not None
    assert (found.name, odd, found.rivals) == (form, "", False)
    assert made == [str(day) for day in DAYS]


@pytest.mark.parametrize(("form", "scale"), [("seconds", 1), ("milliseconds", 1000)])
def test_seconds_are_dates_where_the_name_says_so(column: Callable[..., tuple], form: str, scale: int) -> None:
    cells = [_seconds(day) * scale for day in DAYS]
    found, _, made = column(cells, "created_at")
    assert found is not None
    assert found.name == form
    assert "UTC" in found.told
    assert made == [str(day) for day in DAYS]
    assert column(cells, "population")[0] is None


def test_one_cell_far_below_tells_whether_the_day_stands_first(column: Callable[..., tuple]) -> None:
    early = [f"{day % 12 + 1:02}/{day // 12 % 12 + 1:02}/2018" for day in range(1000)]
    found, _, _ = column(early)
    assert found is not None
    assert found.rivals
    for last, form in (("25/01/2018", "DD/MM/YYYY"), ("01/25/2018", "MM/DD/YYYY")):
        found, _, _ = column([*early, last])
        assert found is not None
        assert (found.name, found.rivals) == (form, False)


def test_cells_far_below_in_another_form_leave_no_form(column: Callable[..., tuple]) -> None:
    cells = [f"{day:%m/%d/%Y}" for day in DAYS * 4]
    assert column([*cells, "2018-01-31"])[0] is None


@pytest.mark.parametrize("cell", [str, lambda day: f"{day:%m/%d/%Y}", lambda day: f"{day.day}.{day.month}.{day.year}"])
def test_an_empty_text_is_no_day(column: Callable[..., tuple], cell: Cell) -> None:
    found, _, made = column(["", *map(cell, DAYS), None])
    assert found is not None
    assert made == [None, *map(str, DAYS), None]
    assert "nullif" in found.sql


@pytest.mark.parametrize(
    ("name", "cells", "odd"),
    [
        ("placed_date", ["3/15/18", "4/16/18"], "3/15/18"),  # which century, and which number is the year
        ("placed_date", ["2018-03-15", "15.03.2018"], "15.03.2018"),
        ("placed_date", ["March 15", "April 3"], "March 15"),
        ("code", ["3/15/18", "4/16/18"], ""),
        ("date", ["Monday", "Sunday"], ""),
        ("date", ["2018", "2018-03"], ""),
        ("time", ["10:30", "11:45"], ""),
        ("place", ["Oslo", "Rome"], ""),
        ("day", [1, 2, 31], ""),
        ("number", [20180315, 12345678, 20180317], ""),
        ("number", [20180315], ""),
        ("d", ["2024-01-31", "soon"], ""),
        ("d", [None, None], ""),
    ],
)
def test_what_is_no_date_in_a_form_that_is_known(
    column: Callable[..., tuple], name: str, cells: list[object], odd: str
) -> None:
    assert column(cells, name)[:2] == (None, odd)


def test_a_key_of_eight_digits_is_no_date(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (20180101), (20180102);")
    connection.executescript("INSERT INTO t VALUES (20180103), (20180104)")
    connection.close()
    assert DateColumns(path).form(Schema.from_sqlite(path), 1) is None


def test_a_text_in_the_form_of_the_column_becomes_an_iso_date(column: Callable[..., tuple]) -> None:
    form, _, _ = column([f"{day:%d.%m.%Y}" for day in DAYS])
    assert form is not None
    assert form.iso("15.03.2018") == "2018-03-15"
    assert form.iso("15/03/2018") is None
    assert form.iso("15.13.2018") is None
