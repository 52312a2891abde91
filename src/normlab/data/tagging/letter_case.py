"""Text whose letters say nothing of names, spelled as a model's training text would spell it.

A model that reads characters takes the capitals of SHE VISITED PARIS for names, and finds none in `she visited paris`.
So such sentences are read in restored spelling: those in capitals, in small letters, or with a Capital on Every Word,
and, inside others, runs of capitals. Only what the model reads changes: the words that a user sees, and where
they stand, are the text's own. A sentence that is written as usual stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from normlab.data.tagging.case_table import CaseTable, capitalised, has_letters

_SHORTEST_RUN = 3  # words in capitals, one after the other
_LONG_WORD = 4  # letters; a headline writes shorter words either way
_SHOUTED = 5  # letters of a single word in capitals that is no abbreviation
_AS_WRITTEN = re.compile(r"https?:|www\.|[@#]|.*[@/]")  # addresses and names of accounts


def restored(words: Sequence[str], table: CaseTable) -> tuple[str, ...]:
    """Return a sentence's words as the counted corpus would write them."""
    letters = [word for word in words if has_letters(word) and not _AS_WRITTEN.match(word)]
    text = "".join(letters)
    places: Iterable[int] = range(len(words))
    if len(letters) < 2 or text not in (text.lower(), text.upper()):
        places = _capitals(words, table)
        if _is_headline(letters, table):
            places += [place for place, word in enumerate(words) if word.istitle() and table.knows(word)]
    return _rewritten(words, set(places), table)


def _is_headline(words: Sequence[str], table: CaseTable) -> bool:
    """Say whether every long word has a capital, though at least two, and a quarter, usually have none."""
    long = [word for word in words if len(word) >= _LONG_WORD and word.isalpha()]
    if len(long) < 3 or any(word[0].islower() for word in long):
        return False
    usual = sum(word.istitle() and table.is_lower(word) for word in long[1:])
    return usual >= max(2, 0.25 * len(long))


def _capitals(words: Sequence[str], table: CaseTable) -> list[int]:
    """Return the places of words in capitals that are written so for emphasis, not as abbreviations."""
    if not any(word.isupper() or not word.isascii() for word in words):
        return []  # most sentences
    places: list[int] = []
    run: list[int] = []
    for place, word in enumerate([*words, ""]):
        if has_letters(word) and word == word.upper() and not _AS_WRITTEN.match(word):
            run.append(place)
        elif not word or has_letters(word):  # numbers and signs do not end a run
            emphasised = sum(table.is_lower(words[at]) for at in run)
            if len(run) >= _SHORTEST_RUN and 2 * emphasised >= len(run):
                places += run
            else:
                places += [at for at in run if len(words[at]) >= _SHOUTED and table.is_lower(words[at])]
            run = []
    return places


def _rewritten(words: Sequence[str], places: Collection[int], table: CaseTable) -> tuple[str, ...]:
    if not places:
        return tuple(words)
    spelled = list(words)
    around = ["", *words, ""]
    for place in places:
        if not _AS_WRITTEN.match(words[place]):
            spelled[place] = _spelled(words[place], around[place], around[place + 2], table)
    start = next((place for place, word in enumerate(words) if has_letters(word)), -1)
    if start in places and table.capital_start and not _AS_WRITTEN.match(words[start]):
        spelled[start] = capitalised(spelled[start])
    return tuple(spelled)


def _spelled(word: str, left: str, right: str, table: CaseTable) -> str:
    if not table.knows(word) and any(sign.isdigit() or sign == "." for sign in word):
        return word.upper() if re.fullmatch(r"(?:[^\W\d_]\.)+[^\W\d_]?", word) else word  # f.b.i.; H1N1, 90th
    return table.spelling(word, left, right)
