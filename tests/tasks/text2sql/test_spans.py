"""Decades, centuries and days that a question names by a word."""

from __future__ import annotations

import datetime

import pytest

from normlab.tasks.text2sql.periods.spans import impossible_day, in_numbers

TODAY = datetime.date(2024, 3, 1)


@pytest.mark.parametrize(
    ("question", "read", "told"),
    [
        ("Books of the 1990s?", "Books between 1990 and 1999?", "'the 1990s' is read as 1990 to 1999"),
        ("born in the '70s", "born between 1970 and 1979", "'the '70s' is read as 1970 to 1979"),
        ("songs from the nineties", "songs between 1990 and 1999", "'the nineties' is read as 1990 to 1999"),
        ("since the late 1980s", "since 1987", "'the late 1980s' is read as 1987 to 1989"),
        ("in the 19th century", "between 1801 and 1900", "'the 19th century' is read as 1801 to 1900"),
        ("in the nineteenth century", "between 1801 and 1900", "'the nineteenth century' is read as 1801 to 1900"),
        ("before the 20th century", "before 1901", "'the 20th century' is read as 1901 to 2000"),
        ("after the 18th century", "after 1800", "'the 18th century' is read as 1701 to 1800"),
        ("until the 1950s", "until 1959", "'the 1950s' is read as 1950 to 1959"),
        ("in the 1800s", "between 1800 and 1899", "'the 1800s' is read as 1800 to 1899"),
        ("in the 2000s", "between 2000 and 2009", "'the 2000s' is read as 2000 to 2009"),
        ("orders today", "orders on 2024-03-01", "'today' is read as 2024-03-01, by this machine's date"),
        (
            "orders since yesterday",
            "orders since 2024-02-29",
            "'yesterday' is read as 2024-02-29, by this machine's date",
        ),
    ],
)
def test_spans_are_read_in_numbers(question: str, read: str, told: str) -> None:
    assert in_numbers(question, TODAY) == (read, (told,))


@pytest.mark.parametrize(
    "question",
    [
        "women in her thirties",
        "people in their 30s",
        "90s music",
        "the second century",
        "in the second century",
        "USA Today",
        "today's orders",
        "rooms 100 to 200",
        "in 1990",
        "a speed of 70 km/h",
    ],
)
def test_what_is_not_certain_stays(question: str) -> None:
    assert in_numbers(question, TODAY) == (question, ())


@pytest.mark.parametrize(
    ("question", "day"),
    [
        ("orders on 30 February 2024", "30 February 2024"),
        ("before April 31st", "April 31st"),
        ("on 29 Feb 2023", "29 Feb 2023"),
        ("after 2024-02-30", "2024-02-30"),
        ("on 2024-13-01", "2024-13-01"),
        ("on 29 February 2024 or 31 May", ""),
        ("after 2024-02-29", ""),
        ("the top 50 marks in May 2024", ""),
        ("flight 2024-02-30-A", ""),
    ],
)
def test_days_that_no_calendar_has_are_found(question: str, day: str) -> None:
    assert impossible_day(question) == day
