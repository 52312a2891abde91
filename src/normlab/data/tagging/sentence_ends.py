"""Where sentences end in a line of running text.

A full stop ends a sentence, unless it belongs to an abbreviation, an initial or a list's number, or the next word is
not written as a beginning. Some abbreviations do end sentences (U.S., Inc., p.m.): after them a word decides that
hardly stands inside a sentence with a capital (The, He, But). Where a line has no capitals at all, the full stops alone
decide.
"""

from __future__ import annotations

import re
from itertools import pairwise

# Followed by a name or a number, never by a new sentence.
_LEADING = (
    "Mr|Mrs|Ms|Messrs|Dr|Prof|Sen|Rep|Reps|Sens|Gen|Col|Lt|Sgt|Capt|Cmdr|Maj|Adm|Brig|Gov|Pres|Rev|Hon|St|Mt|Ft|vs|"
    "Jan|Feb|Aug|Sept|Oct|Nov|Dec"
)
# May stand last in a sentence too.
_TRAILING = "Jr|Sr|Inc|Corp|Co|Ltd|Bros|etc|Ave|Blvd|Dept|Univ|Conn|Calif|Mass"
ABBREVIATIONS = f"(?i:{_LEADING}|{_TRAILING})"
"""A regular expression for words that are written with a full stop, without it."""

_STOP = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]*\s+[\"'“‘(\[]*(?=\S)")
_BEFORE = re.compile(r"(?:^|(?<=[\s(\"“'‘\[-]))[^\s(\"“'‘\[]{1,20}\Z")
_NEVER = re.compile(rf"(?i:{_LEADING}|v|e\.g|i\.e|cf|al|ca)|[^\W\d_]", re.VERBOSE)
_SELDOM = re.compile(rf"(?i:{_TRAILING})|(?:[^\W\d_]\.)+[^\W\d_]")
_BEGINNING = re.compile(
    r"(?i:the|a|an|he|she|it|they|we|you|i|his|her|its|their|our|my|this|that|these|those|there|but|and|or|so|in|on|at|"
    r"for|from|with|by|as|after|before|when|while|if|since|although|however|meanwhile|what|who|why|how|where|mr|mrs|ms)\b"
)
_BULLET = re.compile(r"\s*(?:\d{1,3}|[A-Za-z])\Z")


def sentence_bounds(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each sentence of a line; together they cover it.

    >>> line = 'Mr. Bush left the U.S. in 1.5 hours. He said: "No."'
    >>> [line[a:b] for a, b in sentence_bounds(line)]
    ['Mr. Bush left the U.S. in 1.5 hours. ', 'He said: "No."']
    """
    has_capitals = any(letter.isupper() for letter in text)
    cuts = [0]
    for match in _STOP.finditer(text):
        cut = match.start() + len(match.group().rstrip("\"'“‘(["))
        if _ends(text, cuts[-1], match.start(), match.end(), has_capitals=has_capitals):
            cuts.append(cut)
    return list(pairwise([*cuts, len(text)]))


def _ends(text: str, begin: int, stop: int, follows: int, *, has_capitals: bool) -> bool:
    """Say whether the signs at `stop` end the sentence that begins at `begin`; the next word is at `follows`."""
    after = text[follows]
    if has_capitals and not (after.isupper() or after.isdigit() or not after.isalpha()):
        return False
    if text[stop] != "." or text[stop : stop + 2] == "..":
        return True
    if _BULLET.match(text, begin, stop):
        return False
    found = _BEFORE.search(text, max(begin, stop - 25), stop)
    word = found.group() if found else ""
    if _NEVER.fullmatch(word):
        return word == "I"
    return not _SELDOM.fullmatch(word) or bool(_BEGINNING.match(text, follows))
