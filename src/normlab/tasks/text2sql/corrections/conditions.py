"""Conditions that the question names by an adjective or a value, and that a query leaves out: "active", "unpaid"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from normlab.data.sql.cells import cell_key
from normlab.data.text.word_forms import is_word, stem, words_of
from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, Condition, Unit, bare_column, column_unit
from normlab.tasks.text2sql.corrections.each_of_two import listed
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.grammar.automaton import word
from normlab.tasks.text2sql.linking.linker import PARTIAL, is_flag_word
from normlab.tasks.text2sql.linking.nationalities import SAID_AS
from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS
from normlab.tasks.text2sql.linking.values import ValueCandidate

_NOT = frozenset(("not", "no", "isn", "aren", "wasn", "weren", "never", "non", "nt", "longer"))
_OPPOSITES = ("un", "in", "non", "dis")
_PREFIXES = frozenset(("is", "has", "was", "are", "flag"))


def flagged(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Compare a column of yes and no that the question's adjective names: "active", "not paid", "unpaid"."""
    if not clauses.only_and:
        return None
    said = _said_flag(clauses, evidence)
    if said is None:
        return None
    column, value, place = said
    counted = ((word("count"), word("distinct"), ("column", column)), (word("count"), ("column", column)))
    clauses = replace(clauses, select=tuple(COUNT if unit in counted else unit for unit in clauses.select))
    mine = [index for index, one in enumerate(clauses.where) if one.column == column]
    condition = Condition(column_unit(column), "=", ((("value", value),),))
    if mine:
        where = (*clauses.where[: mine[0]], condition, *clauses.where[mine[0] + 1 :])
        return replace(clauses, where=where) if len(mine) == 1 else None
    if _asked_for(evidence, place):
        return None
    return _without_column(clauses, column).with_condition(condition)


def _said_flag(clauses: Clauses, evidence: Evidence) -> tuple[int, str, int] | None:
    """The one flag column of the query's tables that a word names, its SQL value, and the word's place."""
    found = []
    for table in clauses.tables:
        for column in evidence.schema.columns_of(table):
            flags = evidence.contents.flags(column)
            if flags is None:
                continue
            words = [w for w in words_of(evidence.schema.columns[column].natural) if w not in _PREFIXES]
            for place, negative in _mentions(words, evidence):
                found.append((column, flags[negative], place))
    return found[0] if len(found) == 1 else None


def _mentions(words: list[str], evidence: Evidence) -> list[tuple[int, bool]]:
    """Where the question says a flag's name, or its opposite, and whether the opposite."""
    if len(words) != 1:
        return []
    found = []
    for place, said in enumerate(evidence.words):
        for opposite in ("", *_OPPOSITES):
            if stem(said) in (stem(opposite + words[0]), opposite + stem(words[0])) and said not in STOP_WORDS:
                before = set(evidence.words[max(0, place - 3) : place])
                found.append((place, bool(opposite) != bool(before & _NOT)))
    return found


def _asked_for(evidence: Evidence, place: int) -> bool:
    """Whether the flag is what is asked for: "show the name and active"."""
    words = evidence.words
    before, after = words[place - 1] if place else "", words[place + 1] if place + 1 < len(words) else ""
    if evidence.tables_at([place + 1] if after else []):
        return before in ("each", "every", "per")
    return (
        before in ("and", "each", "every", "per", "by", "of")
        or after in ("and", "flag", "status", "or")
        or "whether" in words
    )


def _without_column(clauses: Clauses, column: int) -> Clauses:
    """A query that used the column in another way: as a group, to sort by, to show."""

    def rest(units: tuple[Unit, ...]) -> tuple[Unit, ...]:
        return tuple(unit for unit in units if bare_column(unit) != column)

    order = rest(clauses.order)
    select = rest(clauses.select)
    return replace(
        clauses,
        select=select or clauses.select,
        group=rest(clauses.group),
        order=order,
        direction=clauses.direction if order else "",
        limit=clauses.limit if order or not clauses.order else "",
    )


def cells_compared(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Compare a column with the cell that the question names, where no condition names it or any of its words."""
    if not clauses.only_and or clauses.nests:
        return None
    constants = [part for one in clauses.where for text in one.constants for part in listed(text)]
    used = {place for text in constants for v in evidence.values_of(text) for place in range(v.start, v.end)}
    texts = {text.strip("'%").lower() for text in constants}
    best = None
    for value in evidence.linked.values:
        if value.kind != "cell" or not value.columns or set(range(value.start, value.end)) & used:
            continue
        if value.sql.strip("'").lower() in texts or not _telling(evidence, value.start, value.end):
            continue
        said = [word for word in evidence.words[value.start : value.end] if is_word(word)]
        text = value.sql.strip("'")
        by_letter = len(said) == 1 and is_flag_word(text, said[0])
        if words_of(text) != said and cell_key(said) not in SAID_AS and not by_letter:
            continue  # alike by its stem alone
        columns = [c for c in value.columns if (evidence.is_text(c) or by_letter) and not evidence.is_key(c)]
        columns = _likely(clauses, evidence, columns)
        if len(columns) != 1:
            return None
        if best is not None:
            return None
        certain = evidence.linked.texts[value.start][0].isupper() or (by_letter and _is_asked(value, evidence))
        best = (columns[0], value.sql, certain)
    if best is None:
        return None
    column, sql, certain = best
    if evidence.schema.columns[column].table not in clauses.tables and not certain:
        return None
    tables = evidence.way(clauses.tables, evidence.schema.columns[column].table)
    if tables is None:
        return None
    condition = Condition(column_unit(column), "=", ((("value", sql),),))
    return replace(clauses, tables=tables).with_condition(condition)


def _is_asked(value: ValueCandidate, evidence: Evidence) -> bool:
    """Whether a value is what is asked for: "how many women"."""
    wanted = evidence.wanted
    return wanted is not None and wanted.start <= value.start and value.end <= wanted.end


def in_its_column(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Compare a value with the column that holds it: that of the noun behind it ("French pilots"), or the same one.

    A word may name cells of several columns, and spell them differently ("French" for 'France').
    """
    if not clauses.only_and:
        return None
    after = clauses
    for index, condition in enumerate(clauses.where):
        column = condition.column
        if column is None or condition.comparison != "=" or len(condition.constants) != 1:
            continue
        spans = {(v.start, v.end) for v in evidence.values_of(condition.constants[0]) if v.kind in _NAMES}
        rivals = [v for v in evidence.linked.values if (v.start, v.end) in spans and v.columns]
        if len(spans) != 1 or not rivals:
            continue
        moved = _moved(condition, column, rivals, evidence)
        if moved is not None:
            after = replace(after, where=(*after.where[:index], moved, *after.where[index + 1 :]))
    return _joined_anew(clauses, after, evidence) if after != clauses else None


_NAMES = ("cell", "capitalised", "plain", "quoted")


def _moved(condition: Condition, column: int, rivals: Sequence[ValueCandidate], evidence: Evidence) -> Condition | None:
    noun = evidence.tables_at([rivals[0].end] if rivals[0].end < len(evidence.words) else [])
    of_noun = [(c, v.sql) for v in rivals for c in v.columns if evidence.schema.columns[c].table in noun]
    own = evidence.schema.columns[column].table
    if len(noun) == 1 and len(of_noun) == 1 and own != noun[0]:
        column, sql = of_noun[0]
    else:
        said = [word for word in evidence.words[rivals[0].start : rivals[0].end] if is_word(word)]
        spelled = [v.sql for v in rivals if column in v.columns]
        holds = {(c, v.sql) for v in rivals if v.kind == "cell" and words_of(v.sql) == said for c in v.columns}
        if column in {c for c, _ in holds}:
            return None
        if len(holds) == 1 and cell_key(said) not in SAID_AS:
            column, sql = holds.pop()  # the one column that has it as it is said
        elif spelled and words_of(condition.constants[0]) not in map(words_of, spelled):
            sql = spelled[0]
        else:
            return None
    return Condition(column_unit(column), "=", ((("value", sql),),))


def _joined_anew(before: Clauses, after: Clauses, evidence: Evidence) -> Clauses | None:
    """FROM with the tables of moved conditions, without those that only the old ones needed."""
    tables = before.tables
    for condition in after.where:
        if condition.column is not None:
            way = evidence.way(tables, evidence.schema.columns[condition.column].table)
            if way is None:
                return None
            tables = way
    used = {evidence.schema.columns[c].table for c in after.columns}
    used |= set(evidence.wanted.tables) & set(tables) if evidence.wanted else set()
    kept = tuple(table for table in tables if table in used) if len(tables) == 2 else tables
    return replace(after, tables=kept or tables)


def _likely(clauses: Clauses, evidence: Evidence, columns: list[int]) -> list[int]:
    """Those of the query's own tables, if there are any; those that no condition compares already."""
    own = [c for c in columns if evidence.schema.columns[c].table in clauses.tables]
    wanted = evidence.wanted
    subject = [c for c in own if wanted and evidence.schema.columns[c].table in wanted.tables]
    return subject if len(subject) == 1 else own or columns


def _telling(evidence: Evidence, start: int, end: int) -> bool:
    """Whether words name nothing else: no table or column, no number, no stop word alone."""
    places = range(start, end)
    if evidence.tables_at(places, PARTIAL) or evidence.columns_at(places, PARTIAL):
        return False
    if set(evidence.words[max(0, start - 4) : start]) & _NOT or evidence.says("or", "either", "neither", "except"):
        return False
    words = [evidence.words[place] for place in places]
    return any(word not in STOP_WORDS and not word.isdigit() and len(word) > 2 for word in words)
