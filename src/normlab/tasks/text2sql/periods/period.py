"""The one span of days that a question names: "in March 2024", "since 2018", "on 3 May 2024", "from May to July 2023".

A bound is a day, a month with its year, or a year; a month without a year stands for every year's in "in March", and in
"since June" for the last one that the data reach.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from normlab.tasks.text2sql.linking.numbers import MONTHS

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
_YEAR = r"(?:1[5-9]|20)\d\d"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"


def _point(name: str) -> str:
    """A day, a month with or without a year, or a year, as a pattern whose groups end in `name`."""
    return (
        rf"(?:(?P<iso{name}>\d{{4}}-\d\d-\d\d)(?!\d)"
        rf"|(?P<d{name}>{_DAY})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<dm{name}>{_MONTH})\b\.?\s*,?\s*(?:of\s+)?(?P<dy{name}>{_YEAR})\b"
        rf"|(?P<mm{name}>{_MONTH})\b\.?\s+(?P<md{name}>{_DAY})(?:st|nd|rd|th)?\s*,?\s*(?:of\s+)?(?P<my{name}>{_YEAR})\b"
        rf"|(?P<month{name}>{_MONTH})\b\.?(?:\s*,?\s*(?:of\s+)?(?P<year{name}>{_YEAR})\b)?|(?P<only{name}>{_YEAR})\b)"
        r"(?![-/:.,]?\d)"
    )


_RANGE = re.compile(
    rf"\b(?P<word>between|from)\s+(?:the\s+)?{_point('a')}\s*(?:,\s*)?(?P<link>and|to|until|till|through|-|–)\s+(?:the\s+)?{_point('b')}",
    re.IGNORECASE,
)
_MENTION = re.compile(
    r"\b(?P<word>in|during|within|of|on|from|since|after|before|until|till|up\s+to)\s+"
    rf"(?:the\s+)?(?P<unit>(?:month|year)\s+(?:of\s+)?)?{_point('a')}",
    re.IGNORECASE,
)
_RELATIVE = re.compile(
    r"\b(?P<which>last|previous|past|this|current)\s+(?:(?P<count>\d{1,4})\s+)?(?P<unit>day|week|month|year)(?P<s>s)?\b",
    re.IGNORECASE,
)
_UNIT_OF = re.compile(r"\b(?:month|year|day|quarter|week|months|years|days|quarters|weeks)\s*$", re.IGNORECASE)
_ANY = re.compile(rf"\b{_YEAR}\b|(?<!\w)\d{{1,2}}(?:st|nd|rd|th)\b|\b(?:between|until|till|through)\b", re.IGNORECASE)
_LONGEST = 6  # words of a mention that a reading may have taken for one constant


@dataclass(frozen=True)
class Period:
    """Days from `first` on and before `end`, ISO dates, "" for none; or months `month` to `last_month` of all years.

    `words` are what the question calls it and its parts, in `plain` form: what a reading may have taken for constants.
    `told` says which days are meant where the question does not, "" where it does. `noun` is the word before "of 2024",
    which is a period only if that noun has dates; "" where nothing else can be meant.
    """

    first: str
    end: str
    month: int
    words: frozenset[str]
    last_month: int = 0
    told: str = ""
    noun: str = ""

    def condition(self, column: str, *, days_only: bool = False) -> str:
        """Return it as SQL over a column of ISO dates, with a time behind them or not.

        Args:
            column: its name, or an expression.
            days_only: whether no time stands behind any of them.
        """
        if self.month and self.last_month > self.month:
            return f"strftime('%m', {column}) BETWEEN '{self.month:02}' AND '{self.last_month:02}'"
        if self.month:
            return f"strftime('%m', {column}) = '{self.month:02}'"
        if self.is_day:
            return f"{column if days_only else f'date({column})'} = '{self.first}'"
        if days_only and self.first and self.end:
            return f"{column} BETWEEN '{self.first}' AND '{_day_before(self.end)}'"
        bounds = [f"{column} >= '{self.first}'"] if self.first else []
        return " AND ".join([*bounds, *([f"{column} < '{self.end}'"] if self.end else [])])

    @property
    def is_day(self) -> bool:
        """Whether it is one day."""
        return bool(self.first and self.end) and _next_day(self.first) == self.end

    def with_words(self, mentions: Sequence[str]) -> Period:
        """Return it with what else the question calls it, and the parts of that."""
        return replace(self, words=self.words.union(*map(_words, mentions))) if mentions else self

    @property
    def whole_years(self) -> bool:
        """Whether it begins and ends with a year, so that a date's year decides."""
        return not self.month and all(not day or day.endswith("-01-01") for day in (self.first, self.end))

    @property
    def sign(self) -> str:
        """The comparison with a day that says the same, where the question names one: = < > >=; "" for none."""
        if self.is_day:
            return "="
        return {(True, False): ">", (False, True): "<"}.get((bool(self.first), bool(self.end)), "")


def plain(text: str) -> str:
    """Return a text's words and numbers in lower case with single spaces."""
    return " ".join(re.findall(r"\w+", text.lower()))


def period_of(question: str, today: datetime.date | None = None, newest: str = "") -> Period | None:
    """Return the period that a question names; None if it names none, or several.

    Args:
        today: for "last month" and the like; the machine's day if None.
        newest: the newest day of the data, ISO, for "since June"; "" leaves such a month alone.
    """
    ranges = list(_RANGE.finditer(question))
    inside = [match.span() for match in ranges]
    mentions = [m for m in _MENTION.finditer(question) if not any(a <= m.start() < b for a, b in inside)]
    relative = list(_RELATIVE.finditer(question))
    found = [*ranges, *mentions, *relative]
    if len(found) != 1:
        return None
    rest = question[: found[0].start()] + " | " + question[found[0].end() :]
    if _ANY.search(rest):
        return None
    if relative:
        return _relative(relative[0], today or datetime.date.today())
    return _between(ranges[0]) if ranges else _single(mentions[0], question, newest)


def _days_of(match: re.Match[str], name: str, year: str = "") -> tuple[str, str] | None:
    """First day of a point and the first day after it; `year` for a month without one."""
    day, month = match[f"d{name}"] or match[f"md{name}"], match[f"dm{name}"] or match[f"mm{name}"]
    iso = match[f"iso{name}"]
    if day:
        iso = f"{match[f'dy{name}'] or match[f'my{name}']}-{MONTHS[month.lower()]:02}-{int(day):02}"
    if iso:
        try:
            return iso, _next_day(iso)
        except ValueError:  # 30 February
            return None
    year = match[f"year{name}"] or match[f"only{name}"] or year
    named = match[f"month{name}"]
    return _days(int(year), MONTHS[named.lower()] if named else 0) if year else None


def _between(match: re.Match[str]) -> Period | None:
    later = match["yearb"] or match["onlyb"] or match["dyb"] or match["myb"] or ""
    if match["word"].lower() == "from" and match["link"].lower() == "and":
        return None
    a, b = _days_of(match, "a", later), _days_of(match, "b", later)
    words = _words(match.group())
    if a is None and b is None and match["montha"] and match["monthb"]:
        low, high = MONTHS[match["montha"].lower()], MONTHS[match["monthb"].lower()]
        return Period("", "", low, words, high) if low < high else None
    if a is None or b is None or a[0] >= b[0]:
        return None
    return Period(a[0], b[1], 0, words | {plain(a[0]), plain(b[0])})


def _single(match: re.Match[str], question: str, newest: str) -> Period | None:
    word, days = " ".join(match["word"].lower().split()), _days_of(match, "a")
    is_day = bool(match["isoa"] or match["da"] or match["mda"])
    if (word == "on") != is_day and word in ("on", "in", "during", "within", "of"):
        return None
    month = match["montha"]
    noun = ""
    if word == "of" and not (month or match["unit"] or _UNIT_OF.search(question[: match.start()])):
        noun = " ".join(re.findall(r"\w+", question[: match.start()])[-1:])  # "a price of 2024" is none
        if not noun:
            return None
    following = question[match.end() :].lower().split()[:1]
    open_end = bool(following) and following[0].strip(".,?!") in {"onwards", "onward", "on"}
    if following and not open_end and (following[0] in {"to", "or", "and"} or following[0][:1].isdigit()):
        return None
    words = _words(match.group()[len(match["word"]) :])
    if days is None:
        return _without_year(match, word, newest, words) if month and month[0].isupper() else None
    return replace(_bounded("since" if open_end else word, *days, words | {plain(days[0])}), noun=noun)


def _without_year(match: re.Match[str], word: str, newest: str, words: frozenset[str]) -> Period | None:
    month = MONTHS[match["montha"].lower()]
    if word in {"in", "during", "of", "within"}:
        return Period("", "", month, words)
    if word not in {"since", "after", "before"} or not newest:
        return None
    year = int(newest[:4]) - (month > int(newest[5:7]))
    period = _bounded(word, *_days(year, month), words)
    said = " ".join(match.group().split())
    told = f"'{said}' is read as of {year}, the last such month before the newest date, {newest[:10]}"
    return Period(period.first, period.end, 0, words, told=told)


def _bounded(word: str, first: str, end: str, words: frozenset[str]) -> Period:
    """The days that "since", "after", "before" and "until" leave open on one side."""
    open_bounds = {"since": (first, ""), "after": (end, ""), "before": ("", first)}
    open_bounds |= dict.fromkeys(("until", "till", "up to"), ("", end))
    return Period(*open_bounds.get(word, (first, end)), 0, words)


def _relative(match: re.Match[str], today: datetime.date) -> Period | None:
    """ "last month" is the one before this; "last 3 months" are the days since this day three months ago."""
    which, unit, count = match["which"].lower(), match["unit"].lower(), int(match["count"] or 0)
    words = _words(match.group())
    if count:
        if which not in {"last", "past", "previous"}:
            return None
        first, end = _back(today, unit, count), _next_day(str(today))
    elif match["s"] or which == "past":
        return None
    else:
        before = which in {"last", "previous"}
        if unit == "day":
            return None
        if unit == "week":
            monday = today - datetime.timedelta(today.weekday() + 7 * before)
            first, end = str(monday), str(monday + datetime.timedelta(7))
        elif unit == "year":
            first, end = _days(today.year - before, 0)
        else:
            months = 12 * today.year + today.month - 1 - before
            first, end = _days(months // 12, months % 12 + 1)
    told = (
        f"'{' '.join(match.group().split()).lower()}' is read as from {first} on, before {end}, by this machine's date"
    )
    return Period(first, end, 0, words, told=told)


def _back(today: datetime.date, unit: str, count: int) -> str:
    if unit in ("day", "week"):
        return str(today - datetime.timedelta(count * (7 if unit == "week" else 1)))
    months = 12 * today.year + today.month - 1 - count * (12 if unit == "year" else 1)
    year, month = max(1, months // 12), months % 12 + 1
    last = (datetime.date(year + (month == 12), month % 12 + 1, 1) - datetime.timedelta(1)).day
    return f"{year:04}-{month:02}-{min(today.day, last):02}"


def _words(mention: str) -> frozenset[str]:
    """All runs of a mention's words, and months among them in full."""
    words = plain(mention).split()
    runs = {" ".join(words[a : a + size]) for size in range(1, _LONGEST + 1) for a in range(len(words) - size + 1)}
    numbers = {re.sub(r"^0+(?=\d)|(?<=\d)(?:st|nd|rd|th)$", "", word) for word in words}
    return frozenset(runs | numbers | {_full(MONTHS[word]) for word in words if word in MONTHS})


def _days(year: int, month: int) -> tuple[str, str]:
    """The first day of a month, or of a year if `month` is 0, and the first day after it."""
    if not month:
        return f"{year:04}-01-01", f"{year + 1:04}-01-01"
    after = (year + 1, 1) if month == 12 else (year, month + 1)
    return f"{year:04}-{month:02}-01", f"{after[0]:04}-{after[1]:02}-01"


def _next_day(day: str) -> str:
    return str(datetime.date.fromisoformat(day) + datetime.timedelta(1))


def _day_before(day: str) -> str:
    return str(datetime.date.fromisoformat(day) - datetime.timedelta(1))


def _full(month: int) -> str:
    return next(name for name, number in MONTHS.items() if number == month)
