"""What is no question for a database, said in one line with what helps."""

from __future__ import annotations

import re

from normlab.errors import UserError, excerpt

MOST_WORDS = 200
_SQL = re.compile(r"\s*(select\b.*\bfrom\b|with\s+\w+\s+as\s*\(|values\s*\()", re.IGNORECASE | re.DOTALL)
_CHANGES = frozenset(
    (
        *("delete", "remove", "drop", "erase", "truncate", "insert", "add", "append", "update", "change", "modify"),
        *("set", "rename", "replace", "create", "alter", "clear"),
    )
)
_POLITE = frozenset(
    (
        "please",
        "kindly",
        "can",
        "could",
        "would",
        "will",
        "you",
        "now",
        "then",
        "just",
        "i",
        "want",
        "need",
        "to",
        "let",
    )
)


def refuse_no_question(text: str) -> None:
    """Raise `UserError` for text that is empty, too long, SQL, or asks for a change."""
    words = re.findall(r"[^\W_]+", text.lower())
    if not words:
        raise UserError("the question has no words: ask for something in the database")
    if len(words) > MOST_WORDS:
        raise UserError(f"the question has {len(words)} words: ask in at most {MOST_WORDS}")
    if _SQL.match(text):
        raise UserError(f"{excerpt(text)} is SQL, not a question: run it as a query (`normlab ask --sql`)")
    first = next((word for word in words if word not in _POLITE), "")
    if first in _CHANGES:
        raise UserError(f"'{first}' asks for a change, and databases are only read here: ask what is in it")


def refuse_unknown_words(words: list[str], linked: list[bool], known: list[bool]) -> None:
    """Raise `UserError` where most words are unknown to the model and name nothing: another language, or nonsense.

    Args:
        words: of the question, without marks.
        linked: whether each names a table, a column or a cell.
        known: whether each is in the model's vocabulary.
    """
    strange = [word for word, named, met in zip(words, linked, known, strict=True) if not named and not met]
    if 2 * len(strange) > len(words):
        some = ", ".join(strange[:5])
        raise UserError(
            f"{len(strange)} of {len(words)} words are unknown to the model and name nothing in the database ({some}): "
            "ask in English, with names of its tables and columns"
        )
