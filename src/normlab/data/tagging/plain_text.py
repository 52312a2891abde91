"""Running text as sentences of words, for prediction: each word knows where in its line it stands.

A sentence never crosses a line. Inside a line it ends at `.`, `!`, `?` or `…` (with closing quotes) before
white space and a capital, digit or quote, unless a single capital or a title stands before the full stop.
Words are runs of letters and digits, joined by inner hyphens, and by full stops and commas between digits;
clitics ('s, n't) and all other signs are words of their own. Close to how the corpora here were cut, not
equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from normlab.data.tagging.sentences import Sentence, SentenceFile
from normlab.data.text.lines import text_lines

_SHORT = "Mr|Mrs|Ms|Dr|Prof|Sen|Rep|Gen|Col|Lt|Gov|St|Jr|Sr|Inc|Corp|Co|Ltd|Jan|Feb|Aug|Sept|Oct|Nov|Dec"
_WORD = re.compile(
    rf"(?:[A-Z]\.){{2,}}|\b(?:{_SHORT})\.|\d+(?:[.,:]\d+)+"
    r"|n['’]t\b|['’](?:s|re|ve|ll|d|m)\b|\w+?(?=n['’]t\b)|\w+(?:[-&]\w+)*|\.{2,}|[^\w\s]"
)
_NO_END = "".join(rf"(?<!\b{short})" for short in ["[A-Z]", *_SHORT.split("|")])
_SENTENCE_END = re.compile(_NO_END + r"[.!?…]+[\"'”’)]*\s+(?=[\"'“‘(]*[A-Z0-9])")


class PlainText(SentenceFile):
    """A text file, each line one or more sentences; blank lines are skipped. Options as in `SentenceFile`."""

    _lines_per_word = 0

    def _drafts(self) -> Iterator[Sentence]:
        number = 0
        for line, text in text_lines(self.path, self.encoding):
            for start, end in sentence_bounds(text):
                offsets = word_offsets(text, start, end)
                if offsets:
                    number += 1
                    words = tuple(text[a:b] for a, b in offsets)
                    yield Sentence(words, None, words, number, line, tuple(offsets))


def sentence_bounds(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of each sentence of a line; together they cover it."""
    cuts = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    return list(pairwise(cuts))


def word_offsets(text: str, start: int = 0, end: int | None = None) -> list[tuple[int, int]]:
    """Return (start, end) of each word of text[start:end], as places in `text`."""
    return [match.span() for match in _WORD.finditer(text, start, len(text) if end is None else end)]
