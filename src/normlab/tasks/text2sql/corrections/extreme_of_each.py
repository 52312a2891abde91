"""The row with the most or the least in each group: "the youngest employee in each department".

The model shows the largest value of each group, often of a wrong column. SQLite takes the bare columns beside one max
or min from the row that has it (https://sqlite.org/lang_select.html#bareagg): one query shows the row itself.
"""

from __future__ import annotations

from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import Clauses, Condition, Unit, column_unit
from normlab.tasks.text2sql.corrections.evidence import CERTAIN, EACH, Evidence
from normlab.tasks.text2sql.corrections.superlatives import Superlative, superlative_of
from normlab.tasks.text2sql.grammar.automaton import word
from normlab.tasks.text2sql.linking.linker import EXACT, STEM

_HAVING = ("with", "has", "have", "having", "of", "the", "whose")


def extreme_of_each(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Show of each group the row with the most or the least, the value beside it."""
    wanted, words = evidence.wanted, evidence.words
    places = [at for at, said in enumerate(words) if said in EACH]
    if wanted is None or wanted.by == "how many" or len(places) != 1 or not clauses.only_and or clauses.doubt:
        return None
    [each] = places
    subject = _subject(each, clauses, evidence)
    if subject is None:
        return None
    superlative = superlative_of(evidence, (subject,))
    if superlative is None or not _is_of_rows(superlative, subject, evidence) or _has_more(superlative, each, evidence):
        return None
    if superlative.rows > 1:
        return replace(clauses, doubt=f"several rows of each group, here {superlative.rows}, have no query here")
    group = _group(each, subject, evidence)
    shown = _shown(superlative, subject, evidence)
    if group is None or not shown or clauses.nests:
        return None
    table, label, key = group
    tables = evidence.way((subject,), table)
    where = tuple(one for one in clauses.where if one.column is not None)
    for condition in where:
        tables = evidence.way(tables, evidence.schema.columns[condition.column or 0].table) if tables else None
    if tables is None or not _all_said(where, superlative, evidence):
        return None
    end: Unit = (word("max" if superlative.downward else "min"), ("column", superlative.column))
    beside = tuple(map(column_unit, (*label, *(c for c in shown if c not in label))))
    return Clauses(tables, (*beside, end), group=(column_unit(key),), told=clauses.told).with_where(where)


def _subject(each: int, clauses: Clauses, evidence: Evidence) -> int | None:
    """The table whose rows are asked for."""
    wanted = evidence.wanted
    assert wanted is not None
    group = set(evidence.tables_at([each + 1])) if each + 1 < len(evidence.words) else set()
    named = [t for t in wanted.tables if t not in group] or [
        t for t in evidence.tables_at(at for at in range(len(evidence.words)) if at != each + 1) if t not in group
    ]
    if not named and wanted.by == "who":  # "the youngest woman in each department"
        named = list({evidence.schema.columns[one.column].table for one in clauses.where if one.column is not None})
    return named[0] if len(named) == 1 else None


def _is_of_rows(superlative: Superlative, subject: int, evidence: Evidence) -> bool:
    """Whether rows are asked for, not only the value: "the employee with the highest salary", "the oldest employee"."""
    wanted = evidence.wanted
    assert wanted is not None
    words, place = evidence.words, superlative.place
    if evidence.schema.columns[superlative.column].table != subject or evidence.numbers.get(place - 1, "") == "1":
        return False
    if wanted.by == "who":
        return True
    nouns = [at for at in range(len(words)) if subject in evidence.tables_at([at])]
    if any(place < at <= place + 3 and not evidence.columns_at([at], EXACT) for at in nouns):
        before = words[place + 1 : min(at for at in nouns if at > place)]
        return not {"of", "in", "for", "among"} & set(before)  # "the highest salary of employees" is a value
    return any(at < place and set(words[at + 1 : place]) & {*_HAVING, "earns", "earn", "paid"} for at in nouns)


def _has_more(superlative: Superlative, each: int, evidence: Evidence) -> bool:
    """Whether the question also counts, averages, or ranks: "second", "average"."""
    ordinals = any(evidence.words[at] not in ("one",) for at in evidence.numbers if at < superlative.place)
    return (ordinals and superlative.rows == 1) or evidence.says("average", "total", "number", "count", "or", "not")


def _group(each: int, subject: int, evidence: Evidence) -> tuple[int, tuple[int, ...], int] | None:
    """The table that the groups are of, the columns that name them, and the one to group by."""
    after = range(each + 1, min(each + 3, len(evidence.words)))
    tables = [t for t in evidence.tables_at(after[:1]) if t != subject]
    if len(tables) == 1:
        label, key = evidence.label(tables[0]), evidence.key_of(tables[0])
        return (tables[0], label, key) if label and key is not None else None
    for places in (after[:1], after):
        for kind in (EXACT, STEM):
            columns = evidence.columns_at(places, kind)
            own = [c for c in columns if evidence.schema.columns[c].table == subject] or list(columns)
            if len(own) == 1 and not evidence.contents.is_date(own[0]):
                return evidence.schema.columns[own[0]].table, (own[0],), own[0]
    return None


def _shown(superlative: Superlative, subject: int, evidence: Evidence) -> tuple[int, ...]:
    """The names of the rows, or the columns that are asked for; the ranked one is shown in any case."""
    wanted = evidence.wanted
    assert wanted is not None
    asked = [c for c in wanted.columns if evidence.schema.columns[c].table == subject]
    asked = [c for c in asked if c != superlative.column and c in evidence.columns_at(range(wanted.start, wanted.end))]
    label = evidence.label(subject)
    if asked and not evidence.says("name", "names"):
        return tuple(asked)
    return tuple(dict.fromkeys((*label, *asked)))


def _all_said(where: tuple[Condition, ...], superlative: Superlative, evidence: Evidence) -> bool:
    """Whether each value of the question is compared by a condition."""
    compared = {
        place
        for one in where
        for text in one.constants
        for value in evidence.values_of(text)
        for place in range(value.start, value.end)
    }
    values = [v for v in evidence.linked.values if v.kind in CERTAIN and v.end]
    return all(set(range(v.start, v.end)) & compared for v in values if not v.start <= superlative.place < v.end)
