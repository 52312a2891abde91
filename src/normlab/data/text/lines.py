"""Lines of a text file, streamed: encodings, byte order marks, line ends and files that are no text, for every reader.

Only a line feed ends a line: str.splitlines would also break at U+0085 or U+2028, and a token may hold those. A file
whose beginning has carriage returns and no line feed is one of an old Mac; there they end the lines.
"""

from __future__ import annotations

import codecs
import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from normlab.errors import UserError
from normlab.file_kind import HEAD, PACKED, WEB_PAGE, kind_of

# A longer line is a binary file, or one without line ends: memory would not stay constant.
LONGEST_LINE = 16 * 2**20
_SAMPLE = 2**16
# Longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WINDOWS_UNLESS_UTF8 = "utf-8 or cp1252"  # an encoding to ask for: whichever the file is in


class TextCoding(NamedTuple):
    """How the bytes of a file become lines.

    Attributes:
        encoding: a codec's name.
        mark: the byte order mark at the file's beginning, b"" for none.
        line_end: "\\n", or "\\r" in a file of an old Mac.
    """

    encoding: str
    mark: bytes
    line_end: str

    @property
    def wide(self) -> bool:
        """Whether a character takes two bytes or four: a byte of it may look like a line feed."""
        return self.encoding.startswith(("utf-16", "utf-32"))


def text_coding(path: Path, encoding: str) -> TextCoding:
    """Return how a file is to be read: a byte order mark outweighs the `encoding` that is asked for.

    Raises: UserError if the file is missing, empty or no text, or nobody knows the encoding.
    """
    with _opened(path) as file:
        head = file.read(_SAMPLE)
    mark, marked = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", ""))
    if head == mark:
        raise UserError(f"{path}: the file is empty")
    refuse_no_text(path, head, "text")
    name = marked or _wide_without_mark(head) or _known_encoding(path, encoding)
    if name == WINDOWS_UNLESS_UTF8:
        name = "utf-8" if _is_utf8(path) else "cp1252"
    text = head.decode(name if name.startswith("utf-") else "latin-1", "replace")
    return TextCoding(name, mark, "\r" if "\r" in text.rstrip("\r") and "\n" not in text else "\n")


def refuse_no_text(path: Path, head: bytes, wanted: str) -> None:
    """Raise `UserError` if a file's first bytes say that it is no text."""
    if not head or not (kind := kind_of(head[:HEAD])):
        return
    fix = "give a text file"
    if kind == WEB_PAGE:
        fix = "was a web page saved in place of the file? Download the file itself"
    elif kind in PACKED:
        fix = "unpack it first"
    raise UserError(f"{path}: is {kind}, not {wanted}; {fix}")


def raw_lines(path: Path, coding: TextCoding) -> Iterator[tuple[int, str, bytes]]:
    """Yield (line number from 1, text, bytes) of every line, line ends included, the byte order mark in bytes only.

    Text is decoded in wide encodings only; in all others a character stands for each byte, as Latin-1 has it.

    Raises: UserError for NUL characters, a line beyond 16 MiB, or what a wide encoding does not hold.
    """
    codec = coding.encoding if coding.wide else "latin-1"
    number = 0
    with _opened(path) as file:
        file.seek(len(coding.mark))
        lines = io.TextIOWrapper(file, encoding=codec, newline=coding.line_end)
        try:
            while text := lines.readline(LONGEST_LINE + 1):
                number += 1
                if "\0" in text:
                    raise UserError(f"{path}:{number}: holds a NUL byte: not a text file, or a damaged one")
                if len(text) > LONGEST_LINE:
                    raise UserError(f"{path}:{number}: the line is longer than 16 MiB: break it into lines")
                raw = text.encode(codec)
                yield number, text, coding.mark + raw if number == 1 else raw
        except UnicodeDecodeError as error:
            raise UserError(f"{path}:{number + 1}: not {codec} ({error.reason}); is the file damaged?") from None


def decode(text: str, coding: TextCoding, where: str) -> str:
    """Return a line of `raw_lines` as it reads, without its line end; raise UserError at `place` if it is undefined."""
    body = text.removesuffix("\n").rstrip("\r")
    if coding.wide:
        return body
    raw, encoding = body.encode("latin-1"), coding.encoding
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        byte = f"byte 0x{raw[error.start]:02x} at column {error.start + 1}"
        raise UserError(f"{where}: not {encoding} ({byte}); {_other_encoding(encoding)}") from None
    except UnicodeError as error:
        raise UserError(f"{where}: not {encoding} ({error}); give another --encoding") from None


def text_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its line end).

    Raises: UserError naming file and line, at the first line for what is wrong with the file as a whole.
    """
    coding = text_coding(path, encoding)
    for number, text, _ in raw_lines(path, coding):
        yield number, decode(text, coding, f"{path}:{number}")


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for bytes; whatever the system refuses, then or while reading, is the user's mistake."""
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            raise UserError(f"{path}: is a pipe, which can be read only once: save it as a file, or give `-` for it")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None


def _known_encoding(path: Path, encoding: str) -> str:
    if encoding == WINDOWS_UNLESS_UTF8:
        return encoding
    try:
        "".encode(encoding)
        name = codecs.lookup(encoding).name
        return {"utf-16": "utf-16-le", "utf-32": "utf-32-le", "utf-8-sig": "utf-8"}.get(name, name)
    except (LookupError, ValueError):
        raise UserError(f"{path}:1: unknown encoding '{encoding}': say --encoding utf-8, cp1252 or latin-1") from None


def _other_encoding(encoding: str) -> str:
    if encoding == "utf-8":
        return "if it is a Windows file, give --encoding cp1252; latin-1 takes every byte"
    return "give its --encoding: utf-8, or latin-1, which takes every byte"


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _opened(path) as file:
        try:
            while block := file.read(2**20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _wide_without_mark(head: bytes) -> str:
    """Return the UTF-16 that a file without a byte order mark is in, told by the NUL bytes of its Latin letters."""
    even, odd = head[0::2], head[1::2]
    if len(head) < 4 or (zeros := head.count(0)) * 5 < 2 * len(head):
        return ""
    if even.count(0) == 0:
        return "utf-16-le" if zeros == odd.count(0) else ""
    return "utf-16-be" if odd.count(0) == 0 else ""
