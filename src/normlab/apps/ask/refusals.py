"""What is no question for a database, said in one line with what helps. Rules only: no model is asked.

The text alone tells what is empty, too long, SQL, or a request for a change (`change_requests.py`). What its words
name in the database tells another language (`languages.py`), nonsense, and questions about something else.
"""

from __future__ import annotations

import re
from collections.abc import Container
from itertools import pairwise

from normlab.apps.ask.change_requests import change_request
from normlab.apps.ask.languages import foreign_language
from normlab.data.sql.schema import Schema
from normlab.data.text.word_forms import is_word, words_of
from normlab.errors import UserError, excerpt
from normlab.plurals import plural
from normlab.tasks.text2sql.linking.linker import NONE, Linked
from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS
from normlab.tasks.text2sql.periods.spans import impossible_day

MOST_WORDS = 200
_MOST_CHARACTERS = 5000


def refuse_no_question(text: str) -> None:
    """Raise `UserError` for text that is empty, too long, SQL, names a day that is none, or asks for a change."""
    words = re.findall(r"[^\W_]+", text)
    if not words:
        raise UserError("the question has no words: ask for something in the database")
    if len(words) > MOST_WORDS or len(text) > _MOST_CHARACTERS:
        most = f"{MOST_WORDS} words and {_MOST_CHARACTERS:,} characters"
        raise UserError(
            f"the question has {plural(len(words), 'word')} in {plural(len(text), 'character')}: ask in at most {most}"
        )
    if is_sql(text):
        raise UserError(f"{excerpt(text)} is SQL, not a question: run it as a query (`normlab ask --sql`)")
    if day := impossible_day(_QUOTED.sub(" ", text)):
        raise UserError(f"'{day}' is no day of the calendar: correct the date")
    change = change_request(text)
    if change:
        raise UserError(f"'{change}' asks for a change, and databases are only read here: ask what is in it")


def is_sql(text: str) -> bool:
    """Tell whether a text is a query, not a sentence that begins with "select"."""
    bare = _QUOTED.sub(" ", _BEFORE.sub("", text).lower())
    if _SQL.match(bare):
        return True
    if not re.match(r"select\b", bare):
        return False
    words = set(re.findall(r"[^\W_]+", bare))
    return bool(_SIGNS.search(bare)) or bool("from" in words and not words & _SENTENCE)


_BEFORE = re.compile(r"^(?:[\s(;>`]|sql\b:?|--[^\n]*\n|/\*.*?\*/)+", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_SQL = re.compile(
    r"with\s+(?:recursive\s+)?\w+\s*(?:\([^)]*\)\s*)?as\s*\(|values\s*\(|pragma\s+\w+|explain\s+(?:query\s+plan\s+)?\w+\s|"
    r"(?:attach|detach)\s+(?:database\b|\S+\s+as\b)|vacuum\b|reindex\b|analyze\s*;|select\s+[\d.+*/ -]+;?\s*$"
)
_SIGNS = re.compile(
    r"\*|;\s*$|<>|!=|\bt\d\.|"
    r"\b(?:count|sum|avg|min|max|length|lower|upper|date|strftime|round|abs|total|coalesce|distinct)\s*\("
)
_SENTENCE = frozenset(
    re.findall(r"\w+", "the of a an whose which that who are each for with have has me every their its all")
)


def refuse_for_database(linked: Linked, schema: Schema, known: Container[str] | None, *, has_cells: bool) -> None:
    """Raise `UserError` for another language, for nonsense, and for what has nothing to do with the database.

    Args:
        linked: the question and what its words name.
        known: the words that the model knows; None where it reads pieces of words and so knows all.
        has_cells: whether contents were looked at.
    """
    places = [place for place, word in enumerate(linked.words) if is_word(word)]
    words = [linked.words[place] for place in places]
    names = (linked.table_links.max(1, initial=NONE) > NONE) | (linked.column_links.max(1, initial=NONE) > NONE)
    names |= linked.cell_links.any(1)
    # A capital letter makes a word a candidate for a constant; only cells, numbers and quotes say what it is.
    sure = [value for value in linked.values if value.kind in ("cell", "quoted", "date", "number")]
    inside = {place for value in sure for place in range(value.start, value.end)}
    named = [bool(names[place]) or place in inside for place in places]
    language = foreign_language(words, named)
    if language:
        raise UserError(f"the question seems to be in {language}: ask in English, with names of its tables and columns")
    strange = [
        linked.texts[place]
        for place, word, name in zip(places, words, named, strict=True)
        if not name and known is not None and word not in known
    ]
    if 2 * len(strange) > len(words):
        raise UserError(
            f"{len(strange)} of {plural(len(words), 'word')} are unknown to the model and name nothing in the database "
            f"({', '.join(strange[:5])}): ask in English, with names of its tables and columns"
        )
    telling = [bool(names[place]) for place, word in zip(places, words, strict=True) if word not in STOP_WORDS]
    if has_cells and not any(telling) and not _resembles(words, schema):
        some = ", ".join(table.name for table in schema.tables[:8])
        more = f" and {len(schema.tables) - 8} more" if len(schema.tables) > 8 else ""
        raise UserError(f"no word of the question names anything in the database: ask about its tables ({some}{more})")


def _resembles(words: list[str], schema: Schema) -> bool:
    """Tell whether a word, or two together, shares its beginning with a name: "high schoolers" and `Highschooler`."""
    items = [*((t.natural, t.name) for t in schema.tables), *((c.natural, c.name) for c in schema.columns)]
    names = {part for texts in items for part in words_of(" ".join(texts))}
    pairs = [first + second for first, second in pairwise(words)]
    content = [word for word in words if word not in STOP_WORDS] + pairs
    beginnings = {word[:_BEGINNING] for word in content if len(word) >= _BEGINNING}
    return any(name[:_BEGINNING] in beginnings for name in names if len(name) >= _BEGINNING)


_BEGINNING = 5
