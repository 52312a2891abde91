"""Spans that a question names by a word, as the years or the day that they are: "the 1990s", "yesterday".

Training shows none of them: the model takes "the 19th century" for nineteen rows. "Between 1801 and 1900" it knows.
"""

from __future__ import annotations

import datetime
import re

from normlab.tasks.text2sql.linking.numbers import MONTHS

_ORDINALS = {
    said: number
    for number, said in enumerate(
        ("sixteenth", "seventeenth", "eighteenth", "nineteenth", "twentieth", "twenty-first"), start=16
    )
}
_DECADES = {
    "thirties": 30,
    "forties": 40,
    "fifties": 50,
    "sixties": 60,
    "seventies": 70,
    "eighties": 80,
    "nineties": 90,
}
_WORDS = "|".join(_ORDINALS)
_SPAN = re.compile(
    r"(?:\b(?P<before>in|during|within|of|from|since|after|before|until|till)\s+)?(?:\bthe\s+)?(?<!-)"
    r"(?:(?P<part>\b(?:early|mid|late)[\s-]+)?(?:\b(?P<decade>1[5-9]\d0|20\d0)'?s\b|(?<!\d)'?(?P<short>[3-9]0)'?s\b"
    rf"|\b(?P<named>{'|'.join(_DECADES)})\b)"
    rf"|\b(?:(?P<number>\d\d?)(?:st|nd|rd|th)|(?P<ordinal>{_WORDS}))[\s-]+century\b)",
    re.IGNORECASE,
)
_DAY = re.compile(
    r"(?:\b(?P<before>on|since|after|before|until|till|from)\s+)?\b(?P<day>today|yesterday|tomorrow)\b(?!['\u2019])"
)


def in_numbers(question: str, today: datetime.date | None = None) -> tuple[str, tuple[str, ...]]:
    """Return a question with spans of years and days in numbers, and a line for each that says how it is read.

    A century ends with its hundredth year: the 19th is 1801 to 1900, the 1800s are 1800 to 1899. What is not certain
    stays: "in her thirties", and a span without a preposition ("90s music").

    Args:
        today: for "yesterday"; the machine's day if None.
    """
    told: list[str] = []

    def years(match: re.Match[str]) -> str:
        span = _years(match)
        before = (match["before"] or "").lower()
        if span is None or not before:
            return match.group()
        first, last = span
        said = " ".join(match.group()[len(before) :].split())
        told.append(f"'{said}' is read as {first} to {last}")
        bounds = {"before": f"before {first}", "after": f"after {last}", "since": f"since {first}"}
        bounds |= dict.fromkeys(("until", "till"), f"until {last}")
        return bounds.get(before, f"between {first} and {last}")

    def day(match: re.Match[str]) -> str:
        shift = {"yesterday": -1, "today": 0, "tomorrow": 1}[match["day"]]
        iso = str((today or datetime.date.today()) + datetime.timedelta(shift))
        told.append(f"'{match['day']}' is read as {iso}, by this machine's date")
        return f"{match['before'] or 'on'} {iso}"

    changed = _DAY.sub(day, _SPAN.sub(years, question))
    return changed, tuple(told)


def _years(match: re.Match[str]) -> tuple[int, int] | None:
    """First and last year of a decade or a century; None for one that dates of people do not reach."""
    if match["decade"] or match["short"] or match["named"]:
        short = int(match["short"] or 0) or _DECADES.get((match["named"] or "").lower(), 0)
        first = int(match["decade"] or 1900 + short)
        from_year, to_year = _PARTS[(match["part"] or "").strip(" -").lower()]
        is_century = first % 100 == 0 and first < 2000 and not match["part"]
        return (first, first + 99) if is_century else (first + from_year, first + to_year)
    number = int(match["number"] or 0) or _ORDINALS[match["ordinal"].lower()]
    return (100 * number - 99, 100 * number) if 16 <= number <= 21 else None


_PARTS = {"": (0, 9), "early": (0, 3), "mid": (4, 6), "late": (7, 9)}


def impossible_day(question: str) -> str:
    """Return a day of the question that no calendar has, such as "30 February" or "2024-02-30"; "" for none."""
    for match in _ISO.finditer(question):
        if not _exists(int(match[1]), int(match[2]), int(match[3])):
            return match.group()
    for pattern in _NAMED:
        for match in pattern.finditer(question):
            year = int(match["year"]) if match["year"] else 2000  # a leap year
            if not _exists(year, MONTHS[match["month"].lower()], int(match["day"])):
                return match.group()
    return ""


_MONTH = rf"(?P<month>{'|'.join(sorted(MONTHS, key=len, reverse=True))})\b\.?"
_ISO = re.compile(r"(?<![\w-])(\d{4})-(\d\d)-(\d\d)(?![\w-])")
_NAMED = (
    re.compile(
        rf"\b(?P<day>29|30|31)(?:st|nd|rd|th)?\s+(?:of\s+)?{_MONTH}(?:,?\s+(?P<year>\d{{4}})\b)?", re.IGNORECASE
    ),
    re.compile(
        rf"\b{_MONTH}\s+(?P<day>29|30|31)(?:st|nd|rd|th)?\b(?!\s*:)(?:,?\s+(?P<year>\d{{4}})\b)?", re.IGNORECASE
    ),
)


def _exists(year: int, month: int, day: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True
