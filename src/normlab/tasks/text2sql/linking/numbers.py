"""Numbers and dates as a question gives them, and as SQL writes them.

"1,000", "3.5", "$5", "20%", "5th", "10k", "2 million", "twenty five", "twice" become plain numbers; "November
5th, 2007" becomes '2007-11-05', the only form that SQLite's comparisons understand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from normlab.data.text.word_forms import Token, fold

Span = tuple[str, int, int]
"""SQL text, first word, the word after the last."""


def numbers_in(tokens: Sequence[Token]) -> Iterator[Span]:
    """Yield the numbers of a question, in digits or in words, as plain SQL numbers."""
    words = [fold(token.text) for token in tokens]
    at = 0
    while at < len(words):
        value, end = _number_at(words, at)
        if value is None:
            at += 1
            continue
        start = at - 1 if _is_minus(tokens, at) else at
        yield f"{-value if start < at else value:.15g}", start, end
        at = end


def dates_in(question: str, tokens: Sequence[Token]) -> Iterator[Span]:
    """Yield the dates of a question ("November 5th, 2007", "5 November 2007", "2007-11-05") as SQL strings."""
    for match in _STAMP.finditer(question):
        inside = [i for i, token in enumerate(tokens) if match.start() <= token.start and token.end <= match.end()]
        if inside:
            yield f"'{match.group()}'", inside[0], inside[-1] + 1
    words = [fold(token.text) for token in tokens]
    for at, word in enumerate(words):
        month = MONTHS.get(word)
        if month is None:
            continue
        for day_at, rest in ((at + 1, at + 2), (at - 1, at + 1)):
            day = _DAY.fullmatch(words[day_at]) if 0 <= day_at < len(words) else None
            while rest < len(words) and words[rest] in (",", "of", "in"):
                rest += 1
            if day and 1 <= int(day[1]) <= 31 and rest < len(words) and _YEAR.fullmatch(words[rest]):
                yield f"'{words[rest]}-{month:02}-{int(day[1]):02}'", min(at, day_at), rest + 1
                break


def as_number(text: str) -> float | None:
    """Return the number that a text is, without quotes or with; None for any other text."""
    try:
        return float(text) if _PLAIN.fullmatch(text) else None
    except OverflowError:
        return None


_PLAIN = re.compile(r"[-+]?\d{1,300}(?:\.\d+)?")
_STAMP = re.compile(r"(?<![\w-])\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?(?![\w-])")
_DIGITS = re.compile(r"(\d{1,15}(?:\.\d+)?)(k|m|st|nd|rd|th|s)?")
_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")
_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
MONTHS = {
    name: number
    for number, names in enumerate(
        re.findall(
            r"\w+(?: \w+)*",
            "january jan,february feb,march mar,april apr,may,june jun,july jul,august aug,september sep sept,"
            "october oct,november nov,december dec",
        ),
        start=1,
    )
    for name in names.split()
}
"""Names of months, in full first, and their abbreviations -> their numbers."""


def _counted(words: str, start: int, step: int = 1) -> dict[str, float]:
    """Each word with its number: start, start + step, ..."""
    return {word: start + step * index for index, word in enumerate(words.split())}


_ONES = _counted(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
    start=0,
)
_ORDINALS = _counted("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth", start=1)
_TENS = _counted("twenty thirty forty fifty sixty seventy eighty ninety", start=20, step=10)
_TIMES = {"once": 1, "twice": 2, "thrice": 3, "both": 2, "single": 1, "pair": 2, "couple": 2, "dozen": 12, "half": 0.5}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "k": 1000, "m": 10**6}
_SUFFIXES = {"k": 1000, "m": 10**6}


def _number_at(words: Sequence[str], at: int) -> tuple[float | None, int]:
    """The number that starts at a word and the word after it; (None, at) if none does."""
    word = words[at]
    digits = _DIGITS.fullmatch(word)
    if digits:
        value: float = float(digits[1]) * _SUFFIXES.get(digits[2] or "", 1)
        return _scaled(words, value, at + 1)
    if word in _TENS:
        ones = _ONES.get(_word_after_hyphen(words, at + 1), 0)
        end = at + 1 if not 1 <= ones <= 9 else at + 2 + (words[at + 1] == "-")
        return _scaled(words, _TENS[word] + (ones if 1 <= ones <= 9 else 0), end)
    if word in _ONES:
        return _scaled(words, _ONES[word], at + 1)
    if word in ("hundred", "thousand", "million", "billion"):
        return _scaled(words, 1, at)
    value_of = _ORDINALS.get(word, _TIMES.get(word))
    return (None, at) if value_of is None else (value_of, at + 1)


def _is_minus(tokens: Sequence[Token], at: int) -> bool:
    """Whether a minus stands directly before a number, and nothing directly before that: not as in 10-20."""
    if at == 0 or tokens[at - 1].text != "-" or tokens[at - 1].end != tokens[at].start:
        return False
    return at == 1 or tokens[at - 2].end < tokens[at - 1].start


def _scaled(words: Sequence[str], value: float, end: int) -> tuple[float, int]:
    """Multiply by what follows: "2 hundred thousand"."""
    while end < len(words) and words[end] in _SCALES:
        value *= _SCALES[words[end]]
        end += 1
    return value, end


def _word_after_hyphen(words: Sequence[str], at: int) -> str:
    if at < len(words) and words[at] == "-":
        at += 1
    return words[at] if at < len(words) else ""
