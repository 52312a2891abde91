"""The constants of queries with the columns that they are compared with, read from the SQL's pieces.

No parser is needed, so that SQL of any dialect is read: a name, a comparison and a constant stand side by side.
A column that holds the constant and values just beside it tells `>` from `>=`, and `'France'` from its prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Constants = dict[str, tuple[str | float | int, ...]]
"""Column in lower case -> the constants that it is compared with, each once."""

_STRING = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\""
_NUMBER = r"-?\d+(?:\.\d+)?"
_NAME = r"[^\W\d]\w*|`[^`]+`|\[[^\]]+\]|\"[^\"]+\""
_COMPARISON = r"(?:[<>!=]\s*=|<>|[<>=]|(?:not\s+)?(?:like|in|between)\b)"
_COMPARED = re.compile(
    rf"({_NAME})\s*{_COMPARISON}\s*\(?\s*((?:{_STRING}|{_NUMBER})(?:\s*(?:,|\band\b)\s*(?:{_STRING}|{_NUMBER}))*)",
    re.IGNORECASE,
)
_CONSTANT = re.compile(rf"{_STRING}|{_NUMBER}")
_MOST = 50  # of one column


def constants_of(queries: Iterable[str]) -> Constants:
    """Return what the columns of a database are compared with in queries, at most 50 constants of each column.

    Args:
        queries: SQL; a constant in double quotes, as Spider's gold has them, counts where a constant must stand.
    """
    found: dict[str, dict[str | float | int, None]] = {}
    for sql in queries:
        for name, constants in _COMPARED.findall(sql):
            column = found.setdefault(name.strip('`[]"').lower(), {})
            column.update(dict.fromkeys(map(_value, _CONSTANT.findall(constants))))
    return {name: tuple(list(constants)[:_MOST]) for name, constants in sorted(found.items())}


def _value(text: str) -> str | float | int:
    if text[0] in "'\"":
        return text[1:-1].replace(text[0] * 2, text[0])
    return float(text) if "." in text else int(text)
