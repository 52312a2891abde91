"""Which of several columns of dates a question means: by words of their names, else by what such columns are for."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from normlab.data.sql.schema import Schema
from normlab.data.text.word_forms import stem, words_of

_SAID = {
    "born": ("birth", "dob", "birthday", "birthdate"),
    "aged": ("birth",),
    "bought": ("purchase", "order", "sale"),
    "sold": ("sale", "sold"),
    "left": ("leave", "end", "departure"),
    "began": ("start", "begin", "arrival"),
    "start": ("begin", "from"),
    "end": ("finish", "until"),
    "finish": ("end",),
    "arriv": ("arrival",),
    "depart": ("departure",),
    "expir": ("expiry", "expiration", "end"),
    "deliver": ("delivery",),
    "graduat": ("graduation",),
    "pay": ("payment",),
    "paid": ("payment", "paid"),
    "writ": ("written",),
    "join": ("member", "entry", "registration", "since"),
    "register": ("registration", "signup"),
    "employ": ("hire",),
    "hir": ("hire", "employment", "start"),
    "establish": ("foundation",),
    "publish": ("publication", "release"),
    "releas": ("publication", "release"),
}
"""Stem of a word of the question -> words in names of columns that say the same."""
_ASIDE = frozenset(
    re.findall(
        r"\w+",
        """
        birth born birthday birthdate dob end ended due until expiry expires expiration updated modified
        deleted
        """,
    )
)
"""Words of columns that are meant only where the question says so."""
_GENERAL = frozenset(
    re.findall(
        r"\w+",
        """
        date day on at time timestamp datetime the of
        """,
    )
)


_BIRTH = frozenset(("birth", "born", "birthday", "birthdate", "dob"))
_OF_BIRTH = frozenset(map(stem, (*_BIRTH, "old", "older", "oldest", "young", "younger", "youngest", "age", "aged")))
"""Nothing else that happens to people has this date: it is meant only where one of these words stands."""


def choose_date_column(
    question: str, columns: Sequence[int], schema: Schema, subjects: Collection[int] = ()
) -> int | None:
    """Return the column of dates that a question means, None where it may be several.

    Args:
        question: its text.
        columns: those that hold dates.
        subjects: tables that the question asks for, if known: their columns come first.
    """
    said = {stem(word) for word in words_of(question)}
    said |= {stem(other) for word in tuple(said) for other in _SAID.get(word, ())}
    if len(columns) == 1:
        births = _BIRTH & set(words_of(schema.columns[columns[0]].natural))
        return None if births and not said & _OF_BIRTH else columns[0]
    tables = {stem(word) for table in schema.tables for word in words_of(table.natural)}
    words = {column: {stem(word) for word in _telling(schema, column)} for column in columns}
    for telling in (lambda word: word not in tables, lambda word: True):
        scores = {column: sum(word in said and telling(word) for word in words[column]) for column in columns}
        best = [column for column in columns if scores[column] == max(scores.values())]
        if max(scores.values(), default=0) and len(best) == 1:
            return best[0]
    plain = [column for column in columns if not _ASIDE & set(words_of(schema.columns[column].natural))]
    own = [column for column in plain if schema.columns[column].table in subjects]
    chosen = own or plain
    return chosen[0] if len(chosen) == 1 else None


def _telling(schema: Schema, column: int) -> list[str]:
    return [word for word in words_of(schema.columns[column].natural) if word not in _GENERAL]
