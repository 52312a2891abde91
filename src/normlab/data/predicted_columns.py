"""Predictions as the course wants them: the input file with its last column replaced, every other byte kept.

Line ends (CRLF or not), blank lines wherever they stand, trailing spaces, a missing final newline and
document marks all stay, so that the result can be laid beside the input line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from normlab.data.conll import is_word_line
from normlab.data.text_lines import raw_lines
from normlab.errors import UserError
from normlab.runs.atomic import atomic_binary

# Everything up to the last field, the field, white space and the line end.
_LAST_FIELD = re.compile(rb"(?s)(.*[ \t])([^ \t\r\n]+)([ \t]*\r?\n?)")
_ONLY_FIELD = re.compile(rb"(?s)([^ \t\r\n]+)()([ \t]*\r?\n?)")


def write_predicted_columns(source: Path, target: Path, tags: Iterable[Sequence[str]], *, append: bool = False) -> int:
    """Write `source` with each word's last column replaced to `target`; return the number of sentences.

    Args:
        source, target: may be the same file; the target appears whole or not at all.
        tags: one sequence per sentence in the file's order; drawn as the file is streamed, so a generator
            that itself streams the file keeps memory constant.
        append: add a column after the last instead, for a file without tags.
    Raises: UserError if a line has only one column and append is False; ValueError if the tags do not fit.
    """
    sequences = iter(tags)
    pending: list[str] = []
    inside, sentences = False, 0
    with atomic_binary(target) as out:
        for number, raw in raw_lines(source):
            # Latin-1 gives every byte a character: the line's real encoding does not matter here.
            word_line = is_word_line(raw.decode("latin-1").rstrip("\r\n"))
            if inside and bool(pending) != word_line:
                raise ValueError(f"{source}:{number}: sentence {sentences} has not as many words as tags")
            if word_line and not inside:
                sentences += 1
                pending = _next_tags(sequences, f"{source}:{number}: sentence {sentences}")
            inside = word_line
            out.write(_replaced(raw, pending.pop(), append, f"{source}:{number}") if word_line else raw)
        if pending or next(sequences, None) is not None:
            raise ValueError(f"{source}: the tags go on after the file's last word")
    return sentences


def _next_tags(sequences: Iterable[Sequence[str]], place: str) -> list[str]:
    tags = next(iter(sequences), None)
    if not tags:
        raise ValueError(f"{place}: has no tags")
    return list(reversed(tags))


def _replaced(raw: bytes, tag: str, append: bool, place: str) -> bytes:
    match = _LAST_FIELD.fullmatch(raw)
    if append:
        match = match or _ONLY_FIELD.fullmatch(raw)
        assert match is not None
        delimiter = b"\t" if b"\t" in match[1] else b" "
        return match[1] + match[2] + delimiter + tag.encode() + match[3]
    if match is None:
        raise UserError(f"{place}: only one column, so there is no tag to replace; append a column instead")
    return match[1] + tag.encode() + match[3]
