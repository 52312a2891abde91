"""Percentages of rows and days from start to end: arithmetic that the grammar lacks and that rules write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from normlab.apps.ask.database import Database

DOUBT = "not run: percentages of this kind cannot be computed: ask for the two counts"


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("school") / "school.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE teacher (teacher_id INTEGER PRIMARY KEY, name TEXT, subject TEXT, salary REAL, sex TEXT,"
            " retired TEXT, hired TEXT);"
            "INSERT INTO teacher VALUES (1, 'Ann', 'Maths', 3000, 'F', 'no', '2011-01-01'),"
            " (2, 'Bob', 'Maths', 4000, 'M', 'yes', '2012-01-01'), (3, 'Cid', 'Art', 2000, 'M', 'no', '2020-01-01'),"
            " (4, 'Dora', 'Music', 3500, 'F', 'no', '2021-01-01');"
            "CREATE TABLE course (course_id INTEGER PRIMARY KEY, title TEXT, started_on TEXT, ended_on TEXT,"
            " teacher_id INTEGER REFERENCES teacher (teacher_id));"
            "INSERT INTO course VALUES (1, 'Algebra', '2023-01-01', '2023-01-31', 1),"
            " (2, 'Painting', '2023-02-01', '2023-02-11', 3), (3, 'Singing', '2023-03-01', NULL, 4),"
            " (4, 'Geometry', '2023-03-01', '2023-03-06', 1);"
        )
    with Database(path, "spider-sql") as database:
        yield database


@pytest.mark.parametrize(
    ("question", "percentage"),
    [
        ("What percentage of teachers are women?", 50),
        ("What percent of the teachers are men?", 50),
        ("What is the percentage of female teachers?", 50),
        ("What is the share of teachers who earn more than 2500?", 75),
        ("What proportion of teachers have a salary above 3200?", 50),
        ("What fraction of teachers teach Maths?", None),  # "teach" may be anything
        ("What percentage of teachers are retired?", 25),
        ("What percentage of teachers are not retired?", 75),
        ("What percentage of teachers have no courses?", 25),
        ("What percentage of teachers were hired after 2015?", 50),
        ("What percentage of female teachers earn more than 3200?", 50),
        ("What percentage of teachers are women and earn more than 3200?", 25),
        ("What percentage of teachers are blond?", None),
        ("What percentage of teachers are women or retired?", None),
        ("What percentage of teachers are in each subject?", None),
        ("What percentage of the salary goes to women?", None),
        ("What percentage of women are retired?", None),
        ("For Maths, what percentage of teachers are women?", None),
    ],
)
def test_a_percentage_is_certain_or_not_run(school: Database, question: str, percentage: float | None) -> None:
    answer = school.question(question)
    if percentage is None:
        assert answer.withheld
        assert answer.notes[-1] == DOUBT
    else:
        assert answer.rows == [(percentage,)]
        assert answer.columns == ("percentage",)
        assert answer.notes[0].startswith("by rules about")


def test_a_column_of_percentages_is_no_question_for_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("world") / "world.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE language (name TEXT, country TEXT, percentage REAL);"
            "INSERT INTO language VALUES ('Dutch', 'Aruba', 5.3), ('English', 'Aruba', 9.5);"
        )
    with Database(path, "spider-sql") as database:
        assert "100.0" not in database.question("What is the percentage of the language English?").sql
        assert "100.0" not in database.question("Which languages have more than 6 percent of people?").sql


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("How long did the course Algebra last?", [(30,)]),
        ("How many days did the Painting course take?", [(10,)]),
        ("What is the duration of the course Geometry?", [(5,)]),
        ("How long did the course Singing last?", [(None,)]),
        ("What is the average duration of courses?", [(15.0,)]),
        ("Which course lasted the longest?", [("Algebra", 30)]),
        ("Which course took the shortest?", [("Geometry", 5)]),
    ],
)
def test_a_duration_is_the_days_from_start_to_end(
    school: Database, question: str, rows: list[tuple[object, ...]]
) -> None:
    answer = school.question(question)
    assert answer.rows == rows
    assert answer.columns[-1] == "days"
    assert "days from course.started_on to course.ended_on" in answer.notes


@pytest.mark.parametrize("question", ["How long has Ann worked here?", "How many courses ended in January 2023?"])
def test_other_questions_about_time_stay(school: Database, question: str) -> None:
    assert "julianday" not in school.question(question).sql
