"""Predictions as the course wants them: the input file with its last column replaced, every other byte kept.

Line ends (CRLF or not), blank lines wherever they stand, trailing spaces, a missing final newline, comments and
document marks all stay, so that the result can be laid beside the input line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from normlab.data.tagging.conll import ColumnFile
from normlab.data.tagging.sentences import Sentence
from normlab.data.text.lines import TextCoding, raw_lines, text_coding
from normlab.errors import UserError
from normlab.runs.atomic import atomic_binary

# Everything up to the last field, the field, white space and the line end.
_LAST_FIELD = {
    " ": re.compile(r"(?s)(.*[ \t])([^ \t\r\n]+)([ \t]*\r*\n?)"),
    "\t": re.compile(r"(?s)(.*\t)([^\t\r\n]*[^ \t\r\n])([ \t]*\r*\n?)"),
}
_ONLY_FIELD = re.compile(r"(?s)([^ \t\r\n]+)()([ \t]*\r*\n?)")


def write_predicted_columns(
    source: Path | ColumnFile, target: Path, tags: Iterable[Sequence[str]], *, append: bool = False
) -> int:
    """Write `source` with each word's last column replaced to `target`; return the number of sentences.

    Args:
        source, target: may be the same file; the target appears whole or not at all. A reader, in place of a path,
            says which lines hold words and how the file is encoded.
        tags: one sequence per sentence in the file's order; drawn as the file is streamed, so a generator
            that itself streams the file keeps memory constant.
        append: add a column after the last instead, for a file without tags.
    Raises: UserError if a line has only one column and append is False; ValueError if the tags do not fit.
    """
    reader = source if isinstance(source, ColumnFile) else ColumnFile(source, tagged=False)
    coding = text_coding(reader.path, reader.encoding)
    delimiter = reader.layout().delimiter
    count = 0
    pairs = _word_tags(reader, tags)
    line, tag, sentence = next(pairs, _END)
    with atomic_binary(target) as out:
        for number, text, raw in raw_lines(reader.path, coding):
            if number != line:
                out.write(raw)
                continue
            mark = coding.mark if number == 1 else b""
            replaced = _replaced(text, tag, delimiter, coding, f"{reader.path}:{number}", append=append)
            out.write(mark + replaced)
            count = sentence
            line, tag, sentence = next(pairs, _END)
    return count


_END = (0, "", 0)  # no line has this number


def _word_tags(reader: ColumnFile, tags: Iterable[Sequence[str]]) -> Iterator[tuple[int, str, int]]:
    """Yield (line, tag, sentence) of each word in order."""
    sequences = iter(tags)
    for sentence in reader:
        where = f"{reader.path}:{sentence.line}: sentence {sentence.number}"
        of_words = next(sequences, None)
        if of_words is None or len(of_words) != len(sentence):
            raise ValueError(f"{where} has not as many words as tags")
        yield from zip(_lines(sentence), of_words, [sentence.number] * len(sentence), strict=True)
    if next(sequences, None) is not None:
        raise ValueError(f"{reader.path}: the tags go on after the file's last word")


def _lines(sentence: Sentence) -> Sequence[int]:
    return sentence.lines or range(sentence.line, sentence.line + len(sentence))


def _replaced(text: str, tag: str, delimiter: str, coding: TextCoding, where: str, *, append: bool) -> bytes:
    match = _LAST_FIELD[delimiter].fullmatch(text) or (_ONLY_FIELD.fullmatch(text) if append else None)
    if match is None:
        raise UserError(f"{where}: only one column, so there is no tag to replace; append a column instead")
    head, last, rest = match[1], match[2], match[3]
    before = head + last + ("\t" if "\t" in head else " ") if append else head
    # Outside of wide encodings a character stands for each byte.
    codec = coding.encoding if coding.wide else "latin-1"
    return before.encode(codec) + _encoded(tag, coding.encoding, where) + rest.encode(codec)


def _encoded(tag: str, encoding: str, where: str) -> bytes:
    try:
        return tag.encode(encoding)
    except UnicodeEncodeError:
        raise UserError(f"{where}: the tag '{tag}' cannot be written in {encoding}: save the file as UTF-8") from None
