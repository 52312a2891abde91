"""Rows of which a column holds no value, or holds one: "no e-mail", "whose city is unknown", "not shipped yet".

The grammar has no IS NULL, so the model answers such questions with something else. Empty texts count as no value, as
people mean it.
"""

from __future__ import annotations

import re

from normlab.data.text.word_forms import is_word, stem, words_of
from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, Condition, column_unit, function_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.relating import said_of, shown_of
from normlab.tasks.text2sql.linking.linker import EXACT, PARTIAL

_STATES = "missing|unknown|empty|blank|null|unset|absent"
_GIVEN = "known|given|set|available|recorded|filled(?: in)?|provided|specified|there|entered"
_HAVE = "have|has|had|having|with"
# Ends of a question; X stands for the words that name the column, V for a verb.
_LACKS = re.compile(
    rf".* (?:(?:{_HAVE}) no|without|lacks?|lacking|missing|not (?:have|has)|never had)(?: an?| any| the)?"
    rf"(?: known| valid| recorded| registered)? X(?: yet| at all| on file| recorded| given| listed| assigned)*"
    rf"|.* (?:{_HAVE}) (?:an? |the )?(?:{_STATES}) X"
    rf"|.* X (?:(?:is|are|was|were) )?(?:{_STATES}|not (?:{_GIVEN}))"
)
_HOLDS = re.compile(
    rf".* (?:have|has|with) (?:an?|any)(?: known| valid| recorded| registered)? X(?: on file| recorded| given| listed)*"
    rf"|.* X (?:is|are) (?:not (?:{_STATES})|known|given|recorded|provided|specified)"
)
_NOT_DONE = re.compile(r".* (?:(?:have|has|had|are|is|were|was) )?not (?:yet )?(?:been )?(?:yet )?V(?: yet)?")
_DONE = re.compile(r".* (?:(?:have|has|had) (?:already )?been|(?:are|is|were|was)(?: already)?) V(?: already)?")
_TELLING_TIME = frozenset(("date", "time", "at", "on", "day", "when"))


def without_value(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """ "Which X have no Y", where Y is a column of X: those whose Y is NULL or an empty text."""
    said = _named_at_the_end(evidence) or _done(evidence)
    if said is None:
        return None
    column, start, comparison = said
    table = evidence.schema.columns[column].table
    kept = said_of(table, start, clauses, evidence)
    wanted = evidence.wanted
    if kept is None or _says_more(start, kept, evidence):
        return None
    columns = [c for c in shown_of(evidence, table) if c != column] or evidence.label(table)
    shown = tuple(map(column_unit, columns)) or (column_unit(0),)
    if wanted and wanted.by == "how many":
        shown = (COUNT,)
    unit = function_unit("coalesce({}, '')", column, (table,), evidence.schema)
    condition = Condition(unit, comparison, ((("value", "''"),),))
    return Clauses((table,), shown).with_where((*kept, condition))


def _says_more(end: int, kept: tuple[Condition, ...], evidence: Evidence) -> bool:
    """Whether words before a place name a column neither asked for nor compared: "with an e-mail have no ..." """
    asked = evidence.wanted.end if evidence.wanted else 0
    said = set(evidence.columns_at(range(asked, end), EXACT))
    return bool(said - {condition.column for condition in kept})


def _named_at_the_end(evidence: Evidence) -> tuple[int, int, str] | None:
    """The column that is said to lack or to hold a value, the first word of what says so, and `=` or `!=`."""
    words = evidence.words
    for start in range(1, len(words)):
        columns = evidence.columns_at([start], EXACT)
        subject = _subject(columns, evidence)
        for column in columns:
            if evidence.schema.columns[column].table != subject or evidence.tables_at([start]):
                continue
            end = start
            while end < len(words) and (not is_word(words[end]) or column in evidence.columns_at([end], PARTIAL)):
                end += 1
            if end < len(words) and words[end] in ("number", "address"):
                end += 1
            if column in evidence.columns_at([start - 1], PARTIAL):
                continue
            text = _text(words[:start], "X", words[end:])
            for pattern, comparison in ((_LACKS, "="), (_HOLDS, "!=")):
                if pattern.fullmatch(text):
                    return column, _trigger(words, start), comparison
    return None


def _done(evidence: Evidence) -> tuple[int, int, str] | None:
    """The column of the day on which what has been, or has not been, "shipped" was shipped."""
    words = evidence.words
    subject = _subject((), evidence)
    columns = [] if subject is None else evidence.schema.columns_of(subject)
    for place in range(2, len(words)):
        text = _text(words[:place], "V", words[place + 1 :])
        denied = _NOT_DONE.fullmatch(text)
        if not words[place].endswith(("ed", "en", "id", "nt", "ld")) or not (denied or _DONE.fullmatch(text)):
            continue
        found = [column for column in columns if _says(words[place], column, evidence)]
        if len(found) == 1:
            return found[0], _trigger(words, place), "=" if denied else "!="
    return None


def _says(verb: str, column: int, evidence: Evidence) -> bool:
    """Whether a column is the day of a verb: `shipped_date`, `shipped_at`, `return_date` for "returned"."""
    name = words_of(evidence.schema.columns[column].natural)
    rest = [word for word in name if stem(word) != stem(verb)]
    return len(rest) < len(name) and bool(rest) and set(rest) <= _TELLING_TIME and evidence.contents.is_date(column)


def _subject(columns: tuple[int, ...], evidence: Evidence) -> int | None:
    """The one table that the question names, else that of some columns."""
    named = evidence.tables_at(range(len(evidence.words))) or {evidence.schema.columns[one].table for one in columns}
    return next(iter(named)) if len(named) == 1 else None


def _trigger(words: tuple[str, ...], place: int) -> int:
    """The place before which conditions of the rows are said."""
    while place and words[place - 1] not in _BEGIN:
        place -= 1
        if words[place] in _DENY:
            break
    return place


_BEGIN = frozenset(("whose", "where", "which", "that", "who", "have", "has", "with", "are", "is", "were", "was"))
_DENY = frozenset(("no", "not", "lack", "lacks", "lacking", "missing", "without"))


def _text(before: tuple[str, ...], name: str, after: tuple[str, ...]) -> str:
    """The question as plain words, one for the column."""
    text = " ".join([*filter(is_word, before), name, *filter(is_word, after)])
    return re.sub(r"\b(?:do|does|did) not |\b(?:do|does|did|have|has|is|are|was|were)n ?t ", "not ", text)
