"""Percentages of rows: "what percentage of employees are women", "the share of orders in Sales that are paid".

The grammar cannot divide. The query that counts such rows is divided by the count of all. A question of which
a word is in no condition, or of whose conditions one is not plain, gets no answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from normlab.tasks.text2sql.corrections.ages import age_mentions
from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, Condition, Unit
from normlab.tasks.text2sql.corrections.evidence import CERTAIN, Evidence
from normlab.tasks.text2sql.grammar.automaton import word
from normlab.tasks.text2sql.linking.linker import PARTIAL, STEM
from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS
from normlab.tasks.text2sql.periods.period import period_of

DOUBT = "percentages of this kind cannot be computed"
ADVICE = "ask for the two counts"
_NOT_SAID = frozenset(("each", "every", "per", "or", "either", "same", "only", "most", "all", "both", "by"))
_BEFORE = STOP_WORDS | frozenset(("calculate", "compute", "determine", "is", ",", "approximately"))
_SAID = (STOP_WORDS - _NOT_SAID - {"not", "other", "several", "such"}) | frozenset(
    re.findall(
        r"\S+",
        """
        ? . ' , - $ earn earns earned earning make makes made work works working worked live lives living come comes
        came cost costs costing paid pay pays born belong belongs older younger old years year than less least fewer
        greater higher lower above below between equal exactly aged age ages currently actually there placed type kind
        value
        """,
    )
)
_DENIED = frozenset(("not", "no", "never", "nt", "without", "neither", "non", "un"))
_VERBS = frozenset(
    re.findall(r"\w+", "are is were was have has had earn earns make makes cost costs do does work live come")
)
_BEHIND = frozenset(("in", "from", "of", "at", "on", "with", "for", "who", "that", "which", "whose"))
Span = tuple[int, int]


def percentage(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Count the rows that the question asks the percentage of; `in_percent` divides by all of them."""
    place, wanted = evidence.percentage_at, evidence.wanted
    if place is None or wanted is None or wanted.by != "how many" or not place + 2 <= wanted.start <= place + 4:
        return None
    doubtful = replace(clauses, doubt=DOUBT)
    if len(wanted.tables) != 1 or wanted.tables[0] not in clauses.tables or not clauses.only_and:
        return doubtful
    [table] = wanted.tables
    if clauses.having or clauses.doubt or (not clauses.where and len(clauses.tables) < 2):
        return doubtful
    spans = _spans(clauses.where, evidence)
    if spans is None or not _all_said(clauses, spans, evidence):
        return doubtful
    of_all = _of_all(clauses.where, spans, evidence)
    if of_all is None or any(one.column is None for one in of_all):
        return doubtful
    unit: Unit = COUNT
    if len(clauses.tables) > 1:
        key = evidence.key_of(table)
        if key is None:
            return doubtful
        unit = (word("count"), word("distinct"), ("column", key))
    tables = {table, *(_table(one, evidence) for one in of_all)}
    if len(tables) > 1 and tables != set(clauses.tables):  # a further join would leave rows out
        return doubtful
    whole = Clauses((table,), (COUNT,)) if len(tables) == 1 else Clauses(clauses.tables, (unit,))
    part = Clauses(clauses.tables, (unit,), told=clauses.told, out_of=whole.with_where(of_all))
    return part.with_where(clauses.where)


def in_percent(part: str, whole: str) -> str:
    """Return the query for the percentage of two queries that count."""
    count, _, rest = whole.removeprefix("SELECT ").partition(" FROM ")
    return f"SELECT 100.0 * ({part}) / {count} AS percentage FROM {rest}"


def _table(condition: Condition, evidence: Evidence) -> int:
    return evidence.schema.columns[condition.column or 0].table


def _spans(where: tuple[Condition, ...], evidence: Evidence) -> list[Span] | None:
    """The words that each condition is of, (0, 0) for one that a rule wrote of others; None where one has none."""
    start = evidence.percentage_at or 0
    ages = list(age_mentions(evidence))
    found: list[Span] = []
    for one in where:
        said = {(v.start, v.end) for text in one.constants for v in evidence.values_of(text) if v.start > start}
        flags = evidence.contents.flags(one.column) if one.column is not None else None
        is_day = one.column is not None and evidence.contents.is_date(one.column)
        if len(said) == 1 or (one.comparison == "between" and len(said) == 2):
            found.append((min(said)[0], max(said)[1]))
        elif is_day and ages and not said:
            found.append((ages[0].start, ages[0].end))
        elif flags and one.column is not None and (at := _named_at(one.column, evidence)):
            found.append((at, at + 1))
        elif one.unit[0][0] == "value" or (one.negated and one.comparison == "in"):
            found.append((0, 0))
        else:
            return None
    return found


def _named_at(column: int, evidence: Evidence) -> int | None:
    places = range((evidence.percentage_at or 0) + 2, len(evidence.words))
    return next((at for at in places if column in evidence.columns_at([at], PARTIAL)), None)


def _all_said(clauses: Clauses, spans: list[Span], evidence: Evidence) -> bool:
    """Whether each word behind "percentage of" is in a condition, names what the query uses, or says nothing."""
    words = evidence.words
    start = (evidence.percentage_at or 0) + 2
    covered = {at for first, end in spans for at in range(first, end)} | set(_of_period(evidence))
    if any(said in _NOT_SAID for said in words[start:]) or not set(words[: start - 2]) <= _BEFORE:
        return False
    denied = {at for at in range(start, len(words)) if words[at] in _DENIED}
    if denied and not any(_denies(one, evidence) for one in clauses.where):
        return False
    covered |= denied
    columns = {int(text) for kind, text in clauses.actions() if kind == "column" and text}
    written = {part for one in clauses.where for part in re.findall(r"\w+", str(one.unit[0][1]))}
    tables = {int(text) for kind, text in clauses.actions() if kind == "table"}
    if not set(evidence.tables_at(range(start, len(words)))) <= tables:
        return False
    for at in range(start, len(words)):
        named = set(evidence.columns_at([at], STEM))
        columns |= {column for column in named if evidence.schema.columns[column].name in written}
        here = evidence.tables_at([at], PARTIAL) or evidence.columns_at([at], PARTIAL)
        if at in covered:
            continue
        if named and not named & columns and not evidence.tables_at([at]):
            return False
        if not here and words[at] not in _SAID:
            return False
    values = [v for v in evidence.linked.values if v.kind in CERTAIN and v.end and v.start >= start]
    return all(set(range(v.start, v.end)) & covered for v in values)


def _denies(condition: Condition, evidence: Evidence) -> bool:
    is_flag = condition.column is not None and evidence.contents.flags(condition.column) is not None
    is_size = condition.comparison in ("<", "<=", ">", ">=")
    return condition.negated or condition.comparison == "!=" or condition.unit[0][0] == "value" or is_flag or is_size


def _of_period(evidence: Evidence) -> Iterator[int]:
    """Places of the words of a period, which becomes a condition later; the query says whether it has."""
    period = period_of(evidence.linked.question, evidence.today)
    said = {text for one in period.words for text in one.lower().split()} if period else set()
    return (at for at, text in enumerate(evidence.words) if text in said | {"since", "until", "before", "after"})


def _of_all(where: tuple[Condition, ...], spans: list[Span], evidence: Evidence) -> tuple[Condition, ...] | None:
    """The conditions that all rows meet, () for none: "of employees in Sales are women"; None where it is not plain."""
    words = evidence.words
    order = sorted(range(len(where)), key=lambda index: spans[index])
    wanted = evidence.wanted
    assert wanted is not None
    if len(where) < 2:
        return ()
    if (0, 0) in spans or len({spans[index] for index in order}) < len(order):
        return () if len(set(spans)) == 1 and (0, 0) not in spans else None
    gaps = [words[spans[a][1] : spans[b][0]] for a, b in pairwise(order)]
    first = spans[order[0]][0]
    noun = next(at for at in range(wanted.start, wanted.end) if evidence.tables_at([at]))
    splits = [at for at, gap in enumerate(gaps) if set(gap) & _VERBS and not {"and", "or", ","} & set(gap)]
    if first < noun:  # "of female employees earn more than 50000"
        return tuple(where[index] for index in order if spans[index][0] < noun)
    behind = words[noun + 1] if noun + 1 < len(words) else ""
    if len(splits) == 1 and behind in _BEHIND:
        return tuple(where[index] for index in order[: splits[0] + 1])
    return () if not splits and all("and" in gap for gap in gaps) else None
