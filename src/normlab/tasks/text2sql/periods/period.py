"""The one month or year that a question names: "in March 2024", "since 2018", "last month"."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from normlab.tasks.text2sql.linking.numbers import MONTHS

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_YEAR = r"(?:1[5-9]|20)\d\d"
_MENTION = re.compile(
    rf"\b(?P<word>in|during|within|of|from|since|after|before)\s+(?P<the>the\s+(?:month|year)\s+(?:of\s+)?)?"
    rf"(?:(?P<month>{_MONTH})\b\.?(?:\s*,?\s*(?:of\s+)?(?P<year>{_YEAR})\b)?|(?P<only>{_YEAR})\b)(?![-/:.,]?\d)",
    re.IGNORECASE,
)
_RELATIVE = re.compile(r"\b(?P<which>last|previous|this|current)\s+(?P<unit>month|year)\b", re.IGNORECASE)
_ANY = re.compile(rf"\b{_YEAR}\b|(?<!\w)\d{{1,2}}(?:st|nd|rd|th)\b|\b(?:between|until|till|through)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Period:
    """Days from `first` on and before `end`, ISO dates, "" for no bound; or every year's month `month`.

    `words` are what the question calls it, in lower case, as a reading may have taken them for constants.
    """

    first: str
    end: str
    month: int
    words: frozenset[str]

    def condition(self, column: str) -> str:
        """Return it as SQL over a column of ISO dates, with a time behind them or not."""
        if self.month:
            return f"strftime('%m', {column}) = '{self.month:02}'"
        bounds = [f"{column} >= '{self.first}'"] if self.first else []
        return " AND ".join([*bounds, *([f"{column} < '{self.end}'"] if self.end else [])])


def period_of(question: str, today: datetime.date | None = None) -> Period | None:
    """Return the period that a question names; None if it names none, several, or a day.

    Args:
        today: for "last month" and the like; the machine's day if None.
    """
    mentions = list(_MENTION.finditer(question))
    relative = list(_RELATIVE.finditer(question))
    years = len(_ANY.findall(question))
    if len(mentions) + len(relative) != 1 or years > len([m for m in mentions if m["year"] or m["only"]]):
        return None
    return _relative(relative[0], today or datetime.date.today()) if relative else _absolute(mentions[0], question)


def _absolute(match: re.Match[str], question: str) -> Period | None:
    word, month = match["word"].lower(), MONTHS[match["month"].lower()] if match["month"] else 0
    year = match["year"] or match["only"]
    if word == "of" and not (month or match["the"]):  # "a price of 2024"
        return None
    following = question[match.end() :].lower().split()[:1]
    if following and (following[0] in {"to", "or", "and", "onwards", "onward"} or following[0][:1].isdigit()):
        return None
    names = {match["month"].lower(), _full(month)} if match["month"] else set()
    if not year:
        bare = match["month"][0].isupper() and word in {"in", "during", "of", "within"}
        return Period("", "", month, frozenset(names)) if bare else None
    words = {*names, year, *(f"{name}{sign}{year}" for name in names for sign in (" ", ", ", " , "))}
    return _bounded(word, *_days(int(year), month), frozenset(words))


def _bounded(word: str, first: str, end: str, words: frozenset[str]) -> Period:
    """The days that "since", "after" and "before" leave open on one side."""
    open_bounds = {"since": (first, ""), "after": (end, ""), "before": ("", first)}
    return Period(*open_bounds.get(word, (first, end)), 0, words)


def _relative(match: re.Match[str], today: datetime.date) -> Period:
    last = match["which"].lower() in {"last", "previous"}
    if match["unit"].lower() == "year":
        return Period(*_days(today.year - last, 0), 0, frozenset({match.group().lower()}))
    months = 12 * today.year + today.month - 1 - last
    return Period(*_days(months // 12, months % 12 + 1), 0, frozenset({match.group().lower()}))


def _days(year: int, month: int) -> tuple[str, str]:
    """The first day of a month, or of a year if `month` is 0, and the first day after it."""
    if not month:
        return f"{year:04}-01-01", f"{year + 1:04}-01-01"
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    return f"{year:04}-{month:02}-01", f"{after[0]:04}-{after[1]:02}-01"


def _full(month: int) -> str:
    return next(name for name, number in MONTHS.items() if number == month)
