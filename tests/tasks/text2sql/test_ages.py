"""Ages by dates of birth, where no column holds ages: a rule computes them, and says by which day."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from text2sql_corrected import corrections_over

from normlab.apps.ask.database import Database

TODAY = datetime.date.today()
SCRIPT = (
    "CREATE TABLE club (club_id INTEGER PRIMARY KEY, name TEXT, town TEXT);"
    "INSERT INTO club VALUES (1, 'Rovers', 'Leeds'), (2, 'United', 'York');"
    "CREATE TABLE member (member_id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, fee REAL, joined TEXT,"
    " date_of_birth TEXT, gender TEXT, club_id INTEGER REFERENCES club (club_id));"
    "INSERT INTO member VALUES (1, 'Ann', 'Gray', 120, '2019-03-01', '1950-02-28', 'F', 1),"
    " (2, 'Bob', 'Hill', 90, '2020-04-01', '1980-12-31', 'M', 1), (3, 'Cid', 'Lane', 90, '2021-04-01', '2004-02-29',"
    " 'M', 2), (4, 'Dora', 'Moss', 60, '2022-01-01', NULL, 'F', 2), (5, 'Eve', 'Nash', 30, '2022-05-05',"
    " '1980-01-01', 'F', 2);"
)
BORN = {"Gray": (1950, 2, 28), "Hill": (1980, 12, 31), "Lane": (2004, 2, 29), "Nash": (1980, 1, 1)}
AGES = {
    name: TODAY.year - year - ((TODAY.month, TODAY.day) < (month, day)) for name, (year, month, day) in BORN.items()
}


@pytest.fixture(scope="module")
def clubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("clubs") / "clubs.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCRIPT)
    with Database(path, "spider-sql") as database:
        yield database


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("What is the average age of members?", [(sum(AGES.values()) / 4,)]),
        ("Average age of the members", [(sum(AGES.values()) / 4,)]),
        ("How old is the oldest member?", [(max(AGES.values()),)]),
        ("What is the age of the youngest member?", [(min(AGES.values()),)]),
        ("What are the minimum and maximum age of members?", [(min(AGES.values()), max(AGES.values()))]),
        ("How old is Ann Gray?", [(AGES["Gray"],)]),
        ("How many members are older than 50?", [(sum(age > 50 for age in AGES.values()),)]),
        ("How many members are younger than 30?", [(sum(age < 30 for age in AGES.values()),)]),
        ("How many members are at least 18 years old?", [(4,)]),
        ("How many members are not older than 60?", [(sum(age <= 60 for age in AGES.values()),)]),
        ("Show the name and age of the oldest member.", [("Ann", "Gray", AGES["Gray"])]),
        ("What is the average age of members in the Rovers club?", [((AGES["Gray"] + AGES["Hill"]) / 2,)]),
    ],
)
def test_ages_are_whole_years_of_today(clubs: Database, question: str, rows: list[tuple[object, ...]]) -> None:
    answer = clubs.question(question)
    assert answer.rows == rows
    assert f"ages are whole years on {TODAY} by member.date_of_birth" in answer.notes


def test_each_ones_age_stands_beside_the_name(clubs: Database) -> None:
    answer = clubs.question("Show the name and age of each member.")
    assert answer.columns[-1] == "age"
    assert {row[1]: row[2] for row in answer.rows} == {**AGES, "Moss": None}


def test_ages_are_averaged_for_each_group(clubs: Database) -> None:
    rows = clubs.question("What is the average age of members in each club?").rows
    assert rows == [("Rovers", (AGES["Gray"] + AGES["Hill"]) / 2), ("United", (AGES["Lane"] + AGES["Nash"]) / 2)]


def test_groups_are_ordered_by_their_average_age(clubs: Database) -> None:
    sql = clubs.question("What is the name of the club with the highest average age?").sql
    assert "ORDER BY avg(" in sql
    assert sql.endswith("DESC LIMIT 1")


def test_a_list_sorted_by_age_begins_with_the_youngest(clubs: Database) -> None:
    assert clubs.question("List the members sorted by age.").rows[0][0] == "Cid"
    assert clubs.question("List the members sorted by age in descending order.").sql.endswith("date_of_birth ASC")


@pytest.mark.parametrize(
    ("condition", "question", "today"),
    [
        ("date_of_birth < '1985-03-02'", "Which members are older than 40?", "2026-03-01"),
        ("date_of_birth >= '1996-03-02'", "Which members are younger than 30?", "2026-03-01"),
        ("date_of_birth < '2008-02-29'", "Which members are at least 18 years old?", "2026-02-28"),
        ("date_of_birth < '2010-03-01'", "Which members are at least 18 years old?", "2028-02-29"),
        (
            "date_of_birth < '1996-03-02' AND date_of_birth >= '1985-03-02'",
            "Which members are between 30 and 40 years old?",
            "2026-03-01",
        ),
        (
            "date_of_birth < '1996-03-02' AND date_of_birth >= '1995-03-02'",
            "Which members are 30 years old?",
            "2026-03-01",
        ),
        ("date_of_birth < '1976-03-02'", "Which members are over the age of 49?", "2026-03-01"),
    ],
)
def test_an_age_is_compared_by_the_day_of_birth(tmp_path: Path, condition: str, question: str, today: str) -> None:
    correct = corrections_over(tmp_path / "clubs.sqlite", SCRIPT, datetime.date.fromisoformat(today))
    number = next(text for text in question.split() if text.isdigit() or text[:2].isdigit()).strip("?")
    corrected = correct(question, f"SELECT first_name , last_name FROM member WHERE fee > {number}")
    if "BETWEEN" in condition or "between" in question:
        corrected = correct(question, "SELECT first_name , last_name FROM member WHERE fee BETWEEN 30 AND 40")
    assert corrected.sql == f"SELECT first_name , last_name FROM member WHERE {condition}"


def test_dates_of_birth_in_another_form_are_read_by_their_days(tmp_path: Path) -> None:
    script = SCRIPT.replace("'1950-02-28'", "'02/28/1950'").replace("'1980-12-31'", "'12/31/1980'")
    script = script.replace("'2004-02-29'", "'02/29/2004'").replace("'1980-01-01'", "'01/01/1980'")
    correct = corrections_over(tmp_path / "clubs.sqlite", script, datetime.date(2026, 3, 1))
    day = "substr({0}, 7, 4) || '-' || substr({0}, 1, 2) || '-' || substr({0}, 4, 2)".format("date_of_birth")
    asked = correct("Which members are older than 40?", "SELECT first_name FROM member WHERE fee > 40")
    assert f"WHERE {day} < '1985-03-02'" in asked.sql
    mean = correct("What is the average age of members?", "SELECT avg(fee) FROM member")
    assert sqlite3.connect(tmp_path / "clubs.sqlite").execute(mean.sql).fetchone() == (47.25,)


def test_dates_of_birth_in_no_known_form_give_no_ages(tmp_path: Path) -> None:
    script = SCRIPT.replace("'1950-02-28'", "'spring 1950'").replace("'1980-12-31'", "'12/31/1980'")
    correct = corrections_over(tmp_path / "clubs.sqlite", script)
    doubt = correct("What is the average age of members?", "SELECT avg(fee) FROM member").doubt
    assert doubt == "ages need days of birth, and those of member.date_of_birth are in no one form that is known"


@pytest.mark.parametrize(
    "question",
    [
        "How many members pay more than 40?",
        "Which members joined before 2021?",
        "Who is the oldest member?",  # sorted by the day of birth, no age is needed
        "What is the average fee of members?",
    ],
)
def test_the_rule_stays_away_from_other_questions(clubs: Database, question: str) -> None:
    assert not any("ages are" in note for note in clubs.question(question).notes)


def test_a_column_of_ages_is_the_one_that_is_meant(tmp_path: Path) -> None:
    script = SCRIPT.replace("fee REAL", "age REAL")
    correct = corrections_over(tmp_path / "clubs.sqlite", script)
    assert correct("What is the average age of members?", "SELECT avg(age) FROM member").sql == (
        "SELECT avg(age) FROM member"
    )
    assert correct(
        "Which members are older than 40?", "SELECT first_name , last_name FROM member WHERE age > 40"
    ).sql == ("SELECT first_name , last_name FROM member WHERE age > 40")
