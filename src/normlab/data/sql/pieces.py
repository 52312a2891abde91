"""SQL cut into words, quoted texts and signs, for looks that need no parser and hold in every dialect."""

from __future__ import annotations

import re

_PIECES = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|\w+|\s+|--[^\n]*|/\*.*?\*/|.",
    re.DOTALL,
)


def pieces(sql: str) -> list[str]:
    """Return quoted texts and names, words, comments, spaces and single signs; joined, they are the SQL again."""
    return _PIECES.findall(sql)


def is_code(piece: str) -> bool:
    """Tell a word, quoted text or sign from a space or a comment."""
    return not piece.isspace() and not piece.startswith(("--", "/*"))
