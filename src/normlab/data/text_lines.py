"""Lines of a text file, streamed, with every way in which a file is not text said with its place.

Only a line feed ends a line: str.splitlines would also break at U+0085 or U+2028, and a token may hold those.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from normlab.errors import UserError

# A longer line is a binary file, or one without line ends: memory would not stay constant.
LONGEST_LINE = 16 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (line number from 1, bytes with their line end) of every line.

    Raises: UserError if the file is missing or empty, holds NUL bytes or a line beyond 16 MiB.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    number = 0
    with file:
        while raw := file.readline(LONGEST_LINE + 1):
            number += 1
            if b"\0" in raw:
                raise UserError(f"{path}:{number}: holds a NUL byte: not a text file, or UTF-16; save it as UTF-8")
            if len(raw) > LONGEST_LINE:
                raise UserError(f"{path}:{number}: the line is longer than 16 MiB: break it into lines")
            yield number, raw
    if number == 0:
        raise UserError(f"{path}: the file is empty")


def decode(raw: bytes, encoding: str, place: str) -> str:
    """Return the line's text without its line end; raise UserError at `place` if it is not in `encoding`."""
    body = raw.removesuffix(b"\n").removesuffix(b"\r")
    try:
        return body.decode(encoding)
    except LookupError:
        raise UserError(f"{place}: unknown encoding '{encoding}': say --encoding utf-8, cp1252 or latin-1") from None
    except UnicodeDecodeError as error:
        mend = "if it is a Windows file, give --encoding cp1252" if encoding == "utf-8" else "give its --encoding"
        byte = f"byte 0x{body[error.start]:02x} at column {error.start + 1}"
        raise UserError(f"{place}: not {encoding} ({byte}); {mend}") from None


def text_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, text without its line end)."""
    for number, raw in raw_lines(path):
        if number == 1:
            raw = raw.removeprefix(_BYTE_ORDER_MARK)
        yield number, decode(raw, encoding, f"{path}:{number}")
