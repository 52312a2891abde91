"""Lines that were broken at a width (an e-mail at 72 columns), as the paragraphs that they are.

A program that wraps text breaks a line where the next word does not fit. So in a wrapped paragraph nearly every line is
full: with the first word of the next one it would be wider than the widest line is. Such lines are joined where one of
their ends is plainly inside a sentence; headlines, tweets, lists, addresses and one sentence a line stay as they are.
Whatever is joined keeps its line ends, so that places in it are places in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from normlab.apps.tag.sources import Line

MODES = ("auto", "yes", "no")
_MOST_LINES = 200  # that are looked at together, and so the longest paragraph
_NARROWEST, _WIDEST = 40, 120  # characters at which text is wrapped
_MOSTLY = 0.6  # the share of full lines in wrapped text, in which the last lines of paragraphs are short
_ITEM = re.compile(r"\s*(?:[-*•–]\s|\(?\w{1,3}[.)]\s|[>|#])")
_ENDED = re.compile(r"[.!?…:][\"'”’)\]]*\s*\Z")
_GOES_ON = re.compile(
    r"(?:[,;–-]|\b(?:the|a|an|of|and|or|but|to|in|on|at|for|from|with|by|as|that|which|is|was|are|were|has|have|had|"
    r"will|would|can|not|his|her|their|its|our|my|your|Mr\.|Mrs\.|Ms\.|Dr\.|Prof\.))\s*\Z",
    re.IGNORECASE,
)


def paragraphs(lines: Iterable[Line], mode: str = "auto") -> Iterator[Line]:
    """Yield lines, those of a wrapped paragraph as one with its line ends in it.

    Args:
        lines: not blank; a blank one is missing from the numbers.
        mode: "auto" looks whether text is wrapped, "yes" takes it for wrapped, "no" yields the lines as they are.
    """
    if mode == "no":
        yield from lines
        return
    block: list[Line] = []
    for line in lines:
        if block and (line.number != block[-1].number + 1 or len(block) == _MOST_LINES):
            yield from _joined(block, mode)
            block = []
        block.append(line)
        if mode == "auto" and len(line.text) > _WIDEST:  # it was not wrapped, and may be a whole file
            yield from _joined(block, mode)
            block = []
    yield from _joined(block, mode)


def _joined(block: Sequence[Line], mode: str) -> Iterator[Line]:
    """Yield a block of lines that follow one another, in paragraphs."""
    width = max((len(line.text.rstrip()) for line in block if " " in line.text.strip()), default=0)
    if mode == "auto" and not _is_wrapped(block, width):
        yield from block
        return
    paragraph: list[Line] = []
    for line in block:
        ends = mode == "auto" and bool(paragraph) and not _is_full(paragraph[-1], line, width)
        if paragraph and (ends or _ITEM.match(line.text)):
            yield _as_one(paragraph)
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield _as_one(paragraph)


def _is_wrapped(block: Sequence[Line], width: int) -> bool:
    if len(block) < 2 or not _NARROWEST <= width <= _WIDEST:
        return False
    full = [(line, after) for line, after in pairwise(block) if _is_full(line, after, width)]
    if len(full) < _MOSTLY * (len(block) - 1):
        return False
    text = "".join(line.text for line in block)
    if not any(sign.isupper() for sign in text) or text.isupper():
        return any(_GOES_ON.search(line.text) for line, _ in full)  # letters tell nothing
    sentence = bool(_ENDED.search(block[-1].text))  # which begins in a line before, if that has no end
    return any(_goes_on(line.text, after.text) or (sentence and not _ENDED.search(line.text)) for line, after in full)


def _goes_on(line: str, after: str) -> bool:
    """Tell whether a line's end is plainly inside a sentence."""
    return bool(_GOES_ON.search(line)) or (after.lstrip()[:1].islower() and not _ENDED.search(line))


def _is_full(line: Line, after: Line, width: int) -> bool:
    """Tell whether the next line's first word had no room in a line."""
    return not _ITEM.match(after.text) and len(line.text.rstrip()) + 1 + len(after.text.split()[0]) > width


def _as_one(lines: Sequence[Line]) -> Line:
    first = lines[0]
    text = first.text
    for before, line in pairwise(lines):
        # A text that was given itself may have line ends of two characters; its places count them.
        text += ("\r\n" if line.start - before.start - len(before.text) == 2 else "\n") + line.text
    return first._replace(text=text)
