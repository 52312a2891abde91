"""The constants that a query may name, found in the question and the database: the decoder points at one of them.

A candidate is SQL text as the grammar writes it. Where a cell was found, it is the cell's exact text, so that a
question in lower case still compares equal. A LIKE pattern is a candidate of its own: where the question speaks
of containing, beginning or ending, each string that it names comes with `%` on the side or sides that it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from normlab.data.sql.cells import Cell
from normlab.data.text.word_forms import Token, fold, is_word
from normlab.tasks.text2sql.linking.numbers import as_number, dates_in, numbers_in
from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS

KINDS = ("cell", "quoted", "capitalised", "date", "number", "pattern", "plain", "constant")
"""Where a candidate comes from; this is also who stays first where there are too many."""
MAX_CANDIDATES = 40
CONSTANTS = ("1",)
"""What queries name though no question does: LIMIT 1 for "the most", > 1 for "several"."""


@dataclass(frozen=True)
class ValueCandidate:
    """A constant that the query may name.

    Attributes:
        sql: its SQL text; a number plain, a text in single quotes, those inside it doubled.
        start, end: its question words, end not included; 0, 0 for a constant that stands in no word.
        columns: columns of the schema with a cell of this text.
        kind: one of `KINDS`.
    """

    sql: str
    start: int
    end: int
    columns: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class CellMatch:
    """Question words [start, end) that name cells; `exact` if they do so letter by letter, but for case."""

    start: int
    end: int
    cell: Cell
    exact: bool


def find_values(
    question: str, tokens: Sequence[Token], matches: Iterable[CellMatch], named: Sequence[bool], *, has_cells: bool
) -> tuple[ValueCandidate, ...]:
    """Return the candidates in the order of the question, constants last: at most `MAX_CANDIDATES`.

    Args:
        question: its text.
        tokens: its words.
        matches: cells that n-grams of it name.
        named: whether a word names a table or column as it stands there.
        has_cells: whether the database's contents are known; if not, plain words are candidates too.
    """
    folded = [fold(token.text) for token in tokens]
    texts = [*_quoted(question, tokens), *_capitalised(question, tokens, folded)]
    values = [*_from_cells(question, tokens, matches), *texts]
    values += [ValueCandidate(sql, start, end, (), "date") for sql, start, end in dates_in(question, tokens)]
    values += [ValueCandidate(sql, start, end, (), "number") for sql, start, end in numbers_in(tokens)]
    if not has_cells:
        values += _plain(question, tokens, folded, named)
    values += _patterns(values, tokens, folded)
    values += [ValueCandidate(sql, 0, 0, (), "constant") for sql in CONSTANTS]
    chosen = sorted(_distinct(values), key=lambda value: KINDS.index(value.kind))
    room = MAX_CANDIDATES - len(CONSTANTS)
    limited = chosen[:room] + [value for value in chosen[room:] if value.kind == "constant"]
    return tuple(sorted(limited, key=lambda v: (not v.end, v.start, -v.end, KINDS.index(v.kind), v.sql)))


def gold_value(sql: str, candidates: Sequence[ValueCandidate]) -> int | None:
    """Return which candidate stands for a constant of a gold query, or None.

    As written first, then without regard to case and doubled spaces, numbers by value; last a number for a text
    that holds it or the other way round, which SQLite compares equal in a column with a type.
    """
    for form in (str, _loose, _bare):
        wanted = form(sql)
        for index, candidate in enumerate(candidates):
            if form(candidate.sql) == wanted:
                return index
    return None


def sql_text(text: str) -> str:
    """Return a text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _loose(sql: str) -> str:
    number = as_number(sql)
    return " ".join(sql.casefold().split()) if number is None else repr(number)


def _bare(sql: str) -> str:
    return _loose(sql.strip("'"))


def _text(text: str, start: int, end: int, kind: str, columns: tuple[int, ...] = ()) -> ValueCandidate:
    return ValueCandidate(sql_text(text), start, end, columns, kind)


def _from_cells(question: str, tokens: Sequence[Token], matches: Iterable[CellMatch]) -> Iterator[ValueCandidate]:
    """Each span's best spellings, each with all its columns."""
    spans: dict[tuple[int, int], list[CellMatch]] = {}
    for match in matches:
        spans.setdefault((match.start, match.end), []).append(match)
    for (start, end), matches_here in spans.items():
        surface = question[tokens[start].start : tokens[end - 1].end]
        texts: dict[str, list[int]] = {}
        ranked = sorted(matches_here, key=lambda m: (m.cell.text != surface, not m.exact))
        for match in ranked:
            sql = match.cell.text if match.cell.number else sql_text(match.cell.text)
            texts.setdefault(sql, []).append(match.cell.column)
        for sql, columns in list(texts.items())[:_SPELLINGS]:
            kind = "cell" if sql.startswith("'") else "number"
            yield ValueCandidate(sql, start, end, tuple(sorted(set(columns))), kind)


_SPELLINGS = 3
_QUOTED = re.compile(
    r"""(?<![^\W_])'(?P<a>[^']+(?:(?<=\w)'(?=\w)[^']*)*)'(?![^\W_])|"(?P<b>[^"]+)"|[‘“](?P<c>[^’”]+)[’”]|``(?P<d>.+?)''"""
)


def _quoted(question: str, tokens: Sequence[Token]) -> Iterator[ValueCandidate]:
    for match in _QUOTED.finditer(question):
        group = str(match.lastgroup)
        start, end = _words_between(tokens, match.start(group), match.end(group))
        ends = not question[match.end() :].strip(" .?!")  # a full stop there is the sentence's
        text = match[group].strip().rstrip(",." if ends else ",").strip()
        if start < end and text:
            yield _text(text, start, end, "quoted")


def _words_between(tokens: Sequence[Token], first: int, last: int) -> tuple[int, int]:
    inside = [index for index, token in enumerate(tokens) if token.start >= first and token.end <= last]
    return (inside[0], inside[-1] + 1) if inside else (0, 0)


_LINKS = frozenset(("of", "the", "and", "de", "&", "-", ".", "'", "for"))


def _capitalised(question: str, tokens: Sequence[Token], folded: Sequence[str]) -> Iterator[ValueCandidate]:
    """Runs of words with a capital or a digit inside, over links such as "of"; and each such word alone."""

    def capital(at: int) -> bool:
        text = tokens[at].text
        return text != text.lower() and not (folded[at] in STOP_WORDS and (at == 0 or text == "I"))

    at = 0
    while at < len(tokens):
        if not capital(at):
            at += 1
            continue
        end = at + 1
        reach = end
        while reach < len(tokens) and reach - end < 3:
            if capital(reach):
                end = reach + 1
            elif folded[reach] not in _LINKS:
                break
            reach += 1
        yield _text(question[tokens[at].start : tokens[end - 1].end], at, end, "capitalised")
        if end - at > 1:
            for one in range(at, end):
                if capital(one):
                    yield _text(tokens[one].text, one, one + 1, "capitalised")
        at = end


def _plain(
    question: str, tokens: Sequence[Token], folded: Sequence[str], named: Sequence[bool]
) -> Iterator[ValueCandidate]:
    """Runs of content words that name nothing of the schema, and their parts: for a database without contents."""
    at = 0
    while at < len(tokens):
        end = at
        while end < len(tokens) and is_word(folded[end]) and folded[end] not in STOP_WORDS and not named[end]:
            end += 1
        sizes = sorted({end - at, *range(1, min(end - at, 4))}, reverse=True) if end > at else []
        for size in sizes:
            for start in range(at, end - size + 1):
                text = question[tokens[start].start : tokens[start + size - 1].end]
                yield _text(text, start, start + size, "plain")
        at = max(end, at + 1)


_BEGIN = re.compile(r"(start|begin|beginn)(s|ing|ed)?|began|prefix|initial")
_END = re.compile(r"(end|suffix)(s|ing|ed|es)?")
_INSIDE = re.compile(r"(contain|includ|hav|match)(s|es|ing|ed|e)?|like|has|with")
_AFTER = frozenset(
    ("letter", "letters", "character", "substring", "word", "words", "string", "phrase", "prefix", "suffix")
)
_PATTERN_KINDS = frozenset(("quoted", "capitalised", "plain", "cell", "date"))


def _patterns(
    values: Sequence[ValueCandidate], tokens: Sequence[Token], folded: Sequence[str]
) -> Iterator[ValueCandidate]:
    """LIKE patterns of the strings of a question that speaks of containing, beginning or ending."""
    begin, end, inside = (any(rule.fullmatch(word) for word in folded) for rule in (_BEGIN, _END, _INSIDE))
    inside = inside or any(word in _AFTER for word in folded)
    forms = [form for form, wanted in (("{}%", begin), ("%{}", end), ("%{}%", inside)) if wanted]
    strings = [value for value in values if value.kind in _PATTERN_KINDS]
    for at, word in enumerate(folded[:-1]):
        following = folded[at + 1]
        if is_word(following) and (word in _AFTER or (word == "with" and following not in STOP_WORDS)):
            strings.append(_text(tokens[at + 1].text, at + 1, at + 2, "plain"))
    for value in strings:
        for form in forms:
            yield replace(value, sql="'" + form.format(value.sql[1:-1]) + "'", columns=(), kind="pattern")


def _distinct(values: Iterable[ValueCandidate]) -> Iterator[ValueCandidate]:
    """Drop candidates that equal an earlier one except for case; two cells that differ in case both stay."""
    exact: set[str] = set()
    loose: set[str] = set()
    for value in values:
        if value.sql not in exact and (value.columns or _loose(value.sql) not in loose):
            exact.add(value.sql)
            loose.add(_loose(value.sql))
            yield value
