"""Months and years of a question: what is read, which rows the condition keeps, and where the rule stays away."""

from __future__ import annotations

import datetime
import sqlite3
from calendar import month_name
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normlab.data.sql.inferred_keys import infer_keys
from normlab.data.sql.schema import Schema
from normlab.data.sql.spider import DEV_DATABASES, SpiderFolder
from normlab.tasks.text2sql.periods.period import period_of
from normlab.tasks.text2sql.periods.rule import PeriodRule

TODAY = datetime.date(2024, 1, 15)
DAYS = [datetime.date(2022, 1, 1) + datetime.timedelta(days=step) for step in range(0, 1200, 3)]
MONTHS = list(month_name)[1:]


@pytest.fixture(scope="module")
def calendar() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (day TEXT)")
    connection.executemany("INSERT INTO t VALUES (?)", [(f"{day}{' 23:59:59' * (day.day % 2)}",) for day in DAYS])
    return connection


@given(
    word=st.sampled_from(["in", "during", "since", "after", "before", "of"]),
    month=st.integers(1, 12),
    year=st.integers(2022, 2025),
    short=st.booleans(),
)
def test_a_month_keeps_the_days_that_python_counts(
    calendar: sqlite3.Connection, word: str, month: int, year: int, short: bool
) -> None:
    name = MONTHS[month - 1][:3] if short else MONTHS[month - 1]
    period = period_of(f"How many orders were placed {word} {name} {year}?", TODAY)
    assert period is not None
    kept = [row[0][:10] for row in calendar.execute(f"SELECT day FROM t WHERE {period.condition('day')}")]
    here = (year, month)
    wanted = {
        "since": lambda day: (day.year, day.month) >= here,
        "after": lambda day: (day.year, day.month) > here,
        "before": lambda day: (day.year, day.month) < here,
    }.get(word, lambda day: (day.year, day.month) == here)
    assert kept == [str(day) for day in DAYS if wanted(day)]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("orders in 2018", "d >= '2018-01-01' AND d < '2019-01-01'"),
        ("orders in December 2023", "d >= '2023-12-01' AND d < '2024-01-01'"),
        ("orders in the month of May 2023", "d >= '2023-05-01' AND d < '2023-06-01'"),
        ("orders in March", "strftime('%m', d) = '03'"),
        ("orders last month", "d >= '2023-12-01' AND d < '2024-01-01'"),
        ("orders of this year", "d >= '2024-01-01' AND d < '2025-01-01'"),
        ("orders on March 5, 2024", "date(d) = '2024-03-05'"),
        ("orders on 5 March 2024", "date(d) = '2024-03-05'"),
        ("orders on the 5th of March 2024", "date(d) = '2024-03-05'"),
        ("orders on 2024-03-05", "date(d) = '2024-03-05'"),
        ("orders after 31 December 2023", "d >= '2024-01-01'"),
        ("orders before 5 March 2024", "d < '2024-03-05'"),
        ("orders between January 2024 and March 2024", "d >= '2024-01-01' AND d < '2024-04-01'"),
        ("orders between March and May 2023", "d >= '2023-03-01' AND d < '2023-06-01'"),
        ("orders from 2020 to 2022", "d >= '2020-01-01' AND d < '2023-01-01'"),
        ("orders between 3 May 2023 and 7 June 2023", "d >= '2023-05-03' AND d < '2023-06-08'"),
        ("orders between March and May", "strftime('%m', d) BETWEEN '03' AND '05'"),
        ("orders until March 2024", "d < '2024-04-01'"),
        ("orders from 2022 onwards", "d >= '2022-01-01'"),
        ("orders in each month of 2023", "d >= '2023-01-01' AND d < '2024-01-01'"),
        ("orders last week", "d >= '2024-01-08' AND d < '2024-01-15'"),
        ("orders of the last 3 months", "d >= '2023-10-15' AND d < '2024-01-16'"),
        ("orders of the past 10 days", "d >= '2024-01-05' AND d < '2024-01-16'"),
    ],
)
def test_what_is_a_period(text: str, condition: str) -> None:
    period = period_of(text, TODAY)
    assert period is not None
    assert period.condition("d") == condition


@pytest.mark.parametrize(
    "text",
    [
        "orders on 30 February 2024",
        "orders between May and March",
        "orders between 2022 and 2020",
        "orders in March 2024 and in May 2024",
        "orders in 5 March 2024",
        "orders since June",
        "orders in the last years",
        "orders in 2023 or 2024",
        "orders over 2024",
        "how may I find orders in may",
        "orders in 20245",
        "orders",
    ],
)
def test_impossible_days_several_periods_and_other_numbers_are_no_period(text: str) -> None:
    assert period_of(text, TODAY) is None


def test_a_month_without_a_year_is_the_last_one_that_the_data_reach() -> None:
    for newest, first in (("2024-07-09", "2024-06-01"), ("2024-05-30 10:00", "2023-06-01")):
        period = period_of("orders since June", TODAY, newest)
        assert period is not None
        assert period.condition("d") == f"d >= '{first}'"
        assert first[:4] in period.told


def test_days_counted_from_today_are_told() -> None:
    period = period_of("orders last month", TODAY)
    assert period is not None
    assert "2023-12-01" in period.told
    assert "this machine's date" in period.told


@pytest.fixture
def rule(tmp_path: Path) -> PeriodRule:
    path = tmp_path / "sales.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        """
        CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, born INTEGER);
        CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, "order date" TEXT, amount REAL);
        CREATE TABLE visits (id INTEGER PRIMARY KEY, arrived TEXT, left_on TEXT);
        INSERT INTO customers VALUES (1, 'Ann', 1980), (2, 'April', 1990);
        INSERT INTO orders VALUES (1, 1, '2024-03-05', 10), (2, 2, '2024-03-30 10:00', 20), (3, 2, '2023-03-01', 5);
        INSERT INTO visits VALUES (1, '2024-01-01', '2024-01-02');
        """
    )
    connection.close()
    return PeriodRule(path, infer_keys(path, Schema.from_sqlite(path)))


JOINED = "FROM orders AS T1 JOIN customers AS T2 ON T1.customer_id = T2.id"


@pytest.mark.parametrize(
    ("question", "sql", "written"),
    [
        (
            "How many orders in March 2024?",
            f"SELECT count(*) {JOINED} WHERE T2.name = 'March' AND T1.amount < 2024",
            # Without the customers, who are not asked for: an order may have none.
            "SELECT count(*) FROM orders AS T1 "
            "WHERE T1.\"order date\" >= '2024-03-01' AND T1.\"order date\" < '2024-04-01'",
        ),
        (
            "The customer with most orders over 5 in 2024",
            "SELECT customer_id FROM orders WHERE amount > 5 AND amount = 2024 GROUP BY customer_id LIMIT 1",
            "SELECT customer_id FROM orders WHERE amount > 5 AND \"order date\" >= '2024-01-01' AND "
            "\"order date\" < '2025-01-01' GROUP BY customer_id LIMIT 1",
        ),
        (
            "How many orders last month?",
            "SELECT count(*) FROM orders",
            "SELECT count(*) FROM orders WHERE \"order date\" >= '2023-12-01' AND \"order date\" < '2024-01-01'",
        ),
    ],
)
def test_a_comparison_that_cannot_be_meant_becomes_a_condition_on_dates(
    rule: PeriodRule, question: str, sql: str, written: str
) -> None:
    dated = rule.apply(question, sql, TODAY)
    assert dated is not None
    assert dated.sql == written
    assert dated.note == f'by a rule for dates over orders."order date", not by the model, which wrote: {sql}'


@pytest.mark.parametrize(
    ("question", "sql", "written"),
    [
        ("Who arrived in 2024?", "WHERE id = 2024", "WHERE arrived >= '2024-01-01' AND arrived < '2025-01-01'"),
        ("Visitors that left on 2 January 2024", "WHERE left_on > '2024-01-02'", "WHERE date(left_on) = '2024-01-02'"),
    ],
)
def test_of_several_columns_of_dates_the_one_that_the_question_names(
    rule: PeriodRule, question: str, sql: str, written: str
) -> None:
    dated = rule.apply(question, f"SELECT id FROM visits {sql}", TODAY)
    assert dated is not None
    assert dated.sql == f"SELECT id FROM visits {written}"


def test_a_table_that_served_only_a_wrong_condition_and_repeats_rows_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "members.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE members (id INTEGER PRIMARY KEY, joined TEXT);"
        "CREATE TABLE fees (id INTEGER PRIMARY KEY, member_id INTEGER REFERENCES members (id), sum REAL);"
        "INSERT INTO members VALUES (1, '2024-01-31'); INSERT INTO fees VALUES (1, 1, 5), (2, 1, 6);"
    )
    connection.close()
    rule, fees = PeriodRule(path, Schema.from_sqlite(path)), "members AS T1 JOIN fees AS T2 ON T1.id = T2.member_id"
    asked = "Members who joined in 2024"
    dated = rule.apply(asked, f"SELECT T1.id FROM {fees} WHERE T2.sum = 2024", TODAY)
    assert dated is not None
    assert dated.sql == "SELECT T1.id FROM members AS T1 WHERE T1.joined >= '2024-01-01' AND T1.joined < '2025-01-01'"
    used = rule.apply(asked, f"SELECT T1.id , T2.sum FROM {fees} WHERE T2.sum = 2024", TODAY)
    assert used is not None
    assert fees in used.sql


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        ("Customers born in 1990", f"SELECT T2.name {JOINED} WHERE T2.born = 1990"),  # a column of years
        ("Orders after 2004", f"SELECT T1.id {JOINED} WHERE T2.born > 1985"),
        ("Orders in April 2024", f"SELECT T1.id {JOINED} WHERE T2.name = 'April'"),  # a customer's name
        ("Orders at a price of 2024", "SELECT id FROM orders WHERE amount = 2024"),
        ("Orders in 2024", "SELECT id FROM orders WHERE \"order date\" LIKE '2024%'"),  # right already
        ("Orders in 2024", "SELECT id FROM orders WHERE \"order date\" > '2024-02-01'"),
        ("Orders on 5 March 2024", "SELECT id FROM orders WHERE \"order date\" = '2024-03-05'"),
        ("Orders in 2024 or over 5", "SELECT id FROM orders WHERE amount = 2024 OR amount > 5"),
        ("Orders in 2024", "SELECT id FROM orders WHERE id NOT IN (SELECT id FROM visits)"),
        ("Orders in 2024", "SELECT id FROM orders GROUP BY id HAVING count(*) > 2024"),
        ("Orders in 2024", "SELECT id FROM orders UNION SELECT id FROM visits"),
        ("Orders over 20", "SELECT id FROM orders WHERE amount > 20"),
    ],
)
def test_everything_else_stays_as_the_model_wrote_it(rule: PeriodRule, question: str, sql: str) -> None:
    assert rule.apply(question, sql, TODAY) is None


def test_a_noun_with_dates_may_be_of_a_year(rule: PeriodRule) -> None:
    dated = rule.apply(
        "The largest amount of orders of 2024", "SELECT max(amount) FROM orders WHERE amount = 2024", TODAY
    )
    assert dated is not None
    assert dated.sql.startswith('SELECT max(amount) FROM orders WHERE "order date" >= ')


def test_or_that_the_question_does_not_say_is_no_obstacle(rule: PeriodRule) -> None:
    sql = "SELECT id FROM orders WHERE amount > 5 OR amount < 2024"
    dated = rule.apply("Orders over 5 in 2024", sql, TODAY)
    assert dated is not None
    assert "WHERE amount > 5 AND \"order date\" >= '2024-01-01'" in dated.sql
    assert rule.apply("Orders over 5 or in 2024", sql, TODAY) is None


@pytest.mark.parametrize("sign", ["=", "LIKE"])
def test_a_period_compared_with_what_no_row_has_is_a_doubt(rule: PeriodRule, sign: str) -> None:
    dated = rule.apply("Customers of March 2024", f"SELECT id FROM customers WHERE name {sign} 'March'", TODAY)
    assert dated is not None
    assert f"no row has customers.name {sign} 'March'" in dated.doubt


def test_a_year_compared_with_a_key_is_a_doubt_where_two_columns_may_be_meant(rule: PeriodRule) -> None:
    dated = rule.apply("Visits in 2024", "SELECT id FROM visits WHERE id = 2024", TODAY)
    assert dated is not None
    assert "no row has visits.id = 2024" in dated.doubt


def test_a_period_that_the_query_leaves_out_is_told(rule: PeriodRule) -> None:
    assert rule.unsaid("Customers in March 2024", "SELECT name FROM customers", TODAY) == "'march 2024'"
    assert not rule.unsaid("Customers in March 2024", "SELECT name FROM customers WHERE name = 'March'", TODAY)
    assert not rule.unsaid("Customers", "SELECT name FROM customers", TODAY)


def test_no_gold_query_of_spiders_development_databases_is_changed(shared_data: Path) -> None:
    folder = SpiderFolder(shared_data / "spider")
    asked = [row for row in (*folder.train, *folder.val) if row.db_id in DEV_DATABASES and period_of(row.question)]
    assert len(asked) > 20
    for row in asked:
        path = folder.database(row.db_id)
        assert path is not None
        sql = " ".join(row.query.replace('"', "'").split())
        assert PeriodRule(path, folder.schemas[row.db_id]).apply(row.question, sql) is None, row
