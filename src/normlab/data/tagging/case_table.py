"""How words are written in a corpus, capital or not: counts by which the spelling of a text without case is guessed.

A word's spelling is the one that it has most often inside sentences. Where a second one is frequent (bush and Bush, may
and May), the words beside it decide: log odds of its two spellings, added up over the left and the right neighbour
(truecasing after Lita et al. 2003, by naive Bayes instead of a trellis). A word that the corpus does not hold goes by
its ending. The table is plain JSON, so a model's card can keep it; for GMB it takes 0.4 MB.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

_Counts = dict[str, list[int]]  # a word beside it -> how often the first and the second spelling

_ENDINGS = (4, 3, 2, 0)  # letters; the first that is known counts, and 0 stands for all words
_WITH_APOSTROPHE = ("o'", "l'")  # O'Neill, L'Aquila
_LEAST_ENDING = 3  # words seen once with an ending
_SECOND_SHARE = 0.03  # of a word's second spelling, for neighbours to be asked


def count_case(sentences: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Count how the words of sentences are written, as plain JSON values.

    Sentences without a word in small letters are left out, and so is each one's first word, which says nothing.
    """
    lower = _Lower()
    kept = [words for words in sentences if any(word.islower() for word in words)]
    starts = [_first_letters(words) for words in kept]
    forms = Counter(chain.from_iterable(words[start + 1 :] for words, start in zip(kept, starts, strict=True)))
    inside: dict[str, dict[str, int]] = defaultdict(dict)
    for form, count in forms.most_common():
        if has_letters(form):
            inside[lower[form]][form] = count
    firsts = Counter(words[start] for words, start in zip(kept, starts, strict=True))
    usual = {word: next(iter(counts)) for word, counts in inside.items()}
    twofold = {
        word: list(counts.items())[:2]
        for word, counts in inside.items()
        if len(counts) > 1 and sorted(counts.values())[-2] >= max(2, _SECOND_SHARE * sum(counts.values()))
    }
    return {
        "spellings": {word: form for word, form in sorted(usual.items()) if form != word},
        "lower": sorted(
            {lower[form] for form in firsts if lower[form] not in usual} | {w for w in usual if usual[w] == w}
        ),
        "twofold": _twofold(kept, starts, twofold, lower),
        "capital_endings": _endings(inside),
        "capital_start": 2 * sum(count for form, count in firsts.items() if form != lower[form]) > len(kept),
    }


class CaseTable:
    """What `count_case` counted, to guess spellings by.

    Args:
        values: the table as plain values.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._spellings: dict[str, str] = values["spellings"]
        self._lower = frozenset(values["lower"])
        self._twofold: dict[str, dict[str, Any]] = values["twofold"]
        self._capital_endings: dict[str, bool] = values["capital_endings"]
        self.capital_start = bool(values["capital_start"])

    def is_lower(self, word: str) -> bool:
        """Say whether a word is known and mostly written in small letters."""
        return word.lower() in self._lower

    def knows(self, word: str) -> bool:
        """Say whether the corpus holds a word, however it is written."""
        return word.lower() in self._lower or word.lower() in self._spellings

    def spelling(self, word: str, left: str = "", right: str = "") -> str:
        """Return how a word is written between two others, whose own case does not matter."""
        word = word.lower()
        if word in self._twofold:
            return self._chosen(self._twofold[word], left=left.lower(), right=right.lower())
        if word in self._spellings:
            return self._spellings[word]
        if word in self._lower or not has_letters(word):
            return word
        if "-" in word.strip("-"):
            return "-".join(self.spelling(part) if part else "" for part in word.split("-"))
        if word[:2] in _WITH_APOSTROPHE and len(word) > 4:
            return word[:2].upper() + capitalised(word[2:])
        return capitalised(word) if self._is_name(word) else word

    def _chosen(self, entry: Mapping[str, Any], **beside: str) -> str:
        (first, second), counts = entry["forms"], entry["counts"]
        share = counts[1] / sum(counts)
        prior = odds = _log_odds(share)
        for side, word in beside.items():
            if word in entry[side]:
                a, b = entry[side][word]
                odds += _log_odds((b + share) / (a + b + 1)) - prior  # as if seen once more, as usual
        return str(second if odds > 0 else first)

    def _is_name(self, word: str) -> bool:
        endings = (word[-length:] if length else "" for length in _ENDINGS)
        return next((self._capital_endings[end] for end in endings if end in self._capital_endings), False)


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))


def has_letters(word: str) -> bool:
    """Say whether a word has a letter that can be a capital."""
    return word.lower() != word.upper()


def capitalised(word: str) -> str:
    """Return a word with its first letter as a capital, the others as they are."""
    for place, letter in enumerate(word):
        if letter.isalpha():
            return word[:place] + letter.upper() + word[place + 1 :]
    return word


class _Lower(dict[str, str]):
    """Words in small letters, each computed once."""

    def __missing__(self, word: str) -> str:
        self[word] = word.lower()
        return self[word]


def _first_letters(words: Sequence[str]) -> int:
    """Return the place of the first word with letters."""
    return next(place for place, word in enumerate(words) if has_letters(word))


def _twofold(
    sentences: Sequence[Sequence[str]],
    starts: Sequence[int],
    twofold: Mapping[str, list[tuple[str, int]]],
    lower: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """Return what is kept of words with two spellings: both, how often each was seen, and beside which words."""
    which = {form: number for forms in twofold.values() for number, (form, _) in enumerate(forms)}
    beside: dict[str, tuple[_Counts, _Counts]] = {word: ({}, {}) for word in twofold}
    for words, start in zip(sentences, starts, strict=True):
        for place in range(start + 1, len(words)):
            form = words[place]
            if (number := which.get(form)) is not None:
                left, right = beside[lower[form]]
                left.setdefault(lower[words[place - 1]], [0, 0])[number] += 1
                after = lower[words[place + 1]] if place + 1 < len(words) else ""
                right.setdefault(after, [0, 0])[number] += 1
    return {
        word: {
            "forms": [form for form, _ in forms],
            "counts": [count for _, count in forms],
            "left": _frequent(beside[word][0]),
            "right": _frequent(beside[word][1]),
        }
        for word, forms in sorted(twofold.items())
    }


def _frequent(neighbours: _Counts) -> _Counts:
    return {word: counts for word, counts in sorted(neighbours.items()) if sum(counts) >= 2}


def _endings(inside: Mapping[str, Mapping[str, int]]) -> dict[str, bool]:
    """Return ending -> whether words seen once that end so are mostly capitalised."""
    once = [form for counts in inside.values() if sum(counts.values()) == 1 for form in counts]
    capitals: dict[str, list[bool]] = defaultdict(list)
    for form in once:
        if form.isalpha():
            for length in _ENDINGS:
                capitals[form.lower()[-length:] if length else ""].append(form != form.lower())
    return {
        ending: 2 * sum(flags) >= len(flags)
        for ending, flags in sorted(capitals.items())
        if len(flags) >= _LEAST_ENDING or not ending
    }
