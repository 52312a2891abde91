"""JSON as normlab writes it, read with suspicion: files are copied, edited, cut short and damaged.

Python's reader takes more than JSON (NaN), and more than the rest of a program can bear: numbers beyond a float, half
of a surrogate pair, a hundred thousand brackets. All are refused with the file and, where it is known, the line.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from typing import Any

from normlab.errors import UserError
from normlab.reading import read_bytes, read_text

_DEEPEST = 60  # brackets inside each other; normlab's own files have fewer than ten
_LONGEST_INTEGER = 30  # digits
_FIX = "the file was edited or damaged; restore it, or make it again"


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; raise `UserError` naming it."""
    return parse_json(read_text(path), str(path))


def read_json_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of a file of JSON lines, in which NaN and infinity read as null.

    A last line without its end is left out: its writer was killed in mid-line.
    Raises: UserError with file and line.
    """
    *lines, torn = read_bytes(path).split(b"\n")
    for number, line in enumerate(lines, start=1):
        yield number, _parse_line(line, f"{path}:{number}")
    if torn:
        try:
            yield len(lines) + 1, _parse_line(torn, f"{path}:{len(lines) + 1}")
        except UserError:
            return


def parse_json(text: str, where: str, *, lenient: bool = False) -> Any:
    """Read JSON text.

    Args:
        where: the place named in an error.
        lenient: NaN and infinity read as null.
    Raises: UserError in one line.
    """
    try:
        value = json.loads(text, parse_constant=_none if lenient else _refuse, parse_int=_integer, parse_float=_float)
    except json.JSONDecodeError as error:
        line = f":{error.lineno}" if text.count("\n") > 1 else ""
        raise UserError(f"{where}{line}: not valid JSON ({error.msg}): {_FIX}") from None
    except RecursionError:
        raise UserError(f"{where}: brackets nested too deep: {_FIX}") from None
    except ValueError as error:
        raise UserError(f"{where}: not valid JSON ({error}): {_FIX}") from None
    _refuse_monsters(value, where)
    return value


def _parse_line(line: bytes, where: str) -> Any:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 text (byte {error.start} of the line): {_FIX}") from None
    return parse_json(text, where, lenient=True)


def _none(word: str) -> None:
    return None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number beyond the range of a float")
    return value


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # UTF-8 holds all else that a text can
        return True
    return False


def _refuse_monsters(value: Any, where: str) -> None:
    """Raise `UserError` for what is nested too deep, and for text that no file can hold."""
    level = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                inner += part.values()
                inner += part
            elif isinstance(part, list):
                inner += part
            elif isinstance(part, str) and not part.isascii() and _has_lone_surrogate(part):
                raise UserError(f"{where}: text with half a character (a lone surrogate): {_FIX}")
        level = inner
        if not level:
            return
    raise UserError(f"{where}: brackets nested too deep: {_FIX}")
