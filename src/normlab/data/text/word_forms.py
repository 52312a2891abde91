"""Words of a question, a name or a cell, in the one form in which they are compared.

A word is a run of letters and digits or a number with its separators; every other sign is a word of its own,
which the comparison skips. Words are compared folded (lower case, no accents) and, where that fails, by
their stem: English plurals and the commonest endings, few rules and no data.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple


class Token(NamedTuple):
    """A word as written, and its place in the text."""

    text: str
    start: int
    end: int


def tokens_of(text: str) -> list[Token]:
    """Return the words and signs of a text in order: "O'Neil's 1,000 pets." -> O ' Neil ' s 1,000 pets ."""
    return [Token(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]


def words_of(text: str) -> list[str]:
    """Return a text's folded words, signs left out: "Tokyo , Japan" and "tokyo,japan" give the same."""
    if text.isascii() and text.replace(" ", "").isalnum():
        return text.lower().split()  # what the next line gives, in a third of the time: most names and cells are so
    return [fold(match.group()) for match in _TOKEN.finditer(text) if is_word(match.group())]


def is_word(token: str) -> bool:
    """Say whether a token is compared: it starts with a letter or a digit."""
    return token[0].isalnum()


@lru_cache(maxsize=65536)
def fold(word: str) -> str:
    """Return a word in lower case without accents, a number without the commas between its thousands."""
    if word.isascii():
        return word.lower().replace(",", "") or word
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return "".join(sign for sign in decomposed if not (unicodedata.combining(sign) or sign.isspace())) or word


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """Return the stem of a folded word; words with digits, and those of up to three letters, are their own.

    >>> [stem(word) for word in ("cities", "classes", "names", "named", "naming", "status", "movies", "movie")]
    ['city', 'class', 'nam', 'nam', 'nam', 'status', 'movy', 'movy']
    """
    if word == "ids":
        return "id"
    if len(word) <= 3 or not word.isalpha() or not word.isascii():
        return word
    word = _singular(word)
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= 3 and _VOWEL.search(rest):
            return _undoubled(rest)
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def are_forms_of_one_word(one: str, other: str) -> bool:
    """Tell whether two folded words with the same stem are one word: a final e alone makes another.

    >>> [are_forms_of_one_word(word, "tom") for word in ("toms", "tomes")], are_forms_of_one_word("buses", "bus")
    ([True, False], True)
    """
    short, long = sorted((_singular(one), _singular(other)), key=len)
    if short + "e" != long:
        return True
    return any(a == b + "es" and b.endswith(("s", "x", "z", "o", "ch", "sh")) for a, b in ((one, other), (other, one)))


_TOKEN = re.compile(r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+)(?!\w|[.,]\d)|[^\W_]+|[^\w\s]|_")
_VOWEL = re.compile(r"[aeiouy]")


def _singular(word: str) -> str:
    if word.endswith(("ies", "ie")) and len(word) > 4:  # nothing tells movies from cities
        return word[: word.rindex("ie")] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _undoubled(word: str) -> str:
    """Undo the doubling before an ending: stopp(ed) -> stop; but fill(ed), pass(ed), buzz(ed) keep theirs."""
    doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz"
    return word[:-1] if doubled else word
