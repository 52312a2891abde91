"""Rows compared with another row of the same table: "cheaper than the Lamp", "in the same city as Ola Berg".

The model looks for the named row itself, since the grammar's comparisons need a value.
"""

from __future__ import annotations

from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import COUNT, Clauses, Condition, column_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.qualities import BIRTH, COMPARED, MONEY, PAY
from normlab.tasks.text2sql.corrections.superlatives import is_age, is_number, is_time, measuring
from normlab.tasks.text2sql.grammar.automaton import CLOSE, OPEN
from normlab.tasks.text2sql.linking.linker import PARTIAL, STEM

_MORE = {"more": ">", "higher": ">", "larger": ">", "greater": ">", "bigger": ">", "less": "<", "lower": "<"}
_MORE |= {"fewer": "<", "smaller": "<"}
_IN_TIME = {"before": "<", "after": ">", "earlier": "<", "later": ">"}
_EARN = ("earn", "earns", "paid", "make", "makes", "earning")
_ARTICLES = ("the", "a", "an")


def than_a_row(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Compare a column of the asked table with that of its one row that stands behind "than", "before" or "after"."""
    wanted, words = evidence.wanted, evidence.words
    place = next(
        (at for at, said in enumerate(words) if said in ("than", "before", "after") or _is_same(words, at)), None
    )
    if wanted is None or place is None or len(wanted.tables) != 1:
        return None
    [table] = wanted.tables
    row = _row(evidence, table, place + 1)
    measure = _measure(evidence, table, place)
    if row is None or measure is None or clauses.group or clauses.having:
        return None
    label = evidence.label(table)
    if not label or any(one.column not in (*label, measure[0]) for one in clauses.where):
        return None  # the question says more
    column, sign = measure
    inner = Clauses((table,), (column_unit(column),)).with_where(row)
    than = [Condition(column_unit(column), sign, ((OPEN, *inner.actions()[:-1], CLOSE),))]
    if sign == "=" and len(row) == 1:  # who lives in the same city as Ola is somebody else
        than.append(replace(row[0], comparison="!="))
    counts = wanted.by == "how many"
    asked = [c for c in wanted.columns if evidence.schema.columns[c].table == table and c != column]
    shown = (COUNT,) if counts else tuple(map(column_unit, asked or label))
    return Clauses((table,), shown).with_where(tuple(than))


def _is_same(words: tuple[str, ...], place: int) -> bool:
    """Whether "as" of "the same city as" stands here."""
    return words[place] == "as" and "same" in words[max(0, place - 3) : place]


def _row(evidence: Evidence, table: int, start: int) -> tuple[Condition, ...] | None:
    """Conditions for the row that all the last words name by its name; None where they name something else."""
    words = evidence.words
    end = next((at for at in range(len(words), 0, -1) if words[at - 1][0].isalnum()), 0)
    while start < end and (words[start] in _ARTICLES or table in evidence.tables_at([start])):
        start += 1
    label, at = evidence.label(table), start
    found: list[tuple[int, str]] = []
    while at < end:
        cells = [
            (v.end, c, v.sql) for v in evidence.linked.values if v.kind == "cell" and v.start == at for c in v.columns
        ]
        cells = [cell for cell in cells if cell[1] in label and cell[1] not in [column for column, _ in found]]
        if not cells:
            return None
        stop, column, sql = max(cells)
        found.append((column, sql))
        at = stop
    return tuple(Condition(column_unit(c), "=", ((("value", sql),),)) for c, sql in found) if found else None


def _measure(evidence: Evidence, table: int, place: int) -> tuple[int, str] | None:
    """The column that is compared, and which way, by the words before "than", "before" or "after"."""
    words = evidence.words
    near = range(max(0, place - 4), place)
    said = [words[at] for at in near]
    columns = [c for c in evidence.schema.columns_of(table) if is_number(evidence, c)]
    if words[place] == "as":
        return _one([c for c in evidence.columns_at(near, STEM) if evidence.schema.columns[c].table == table], "=")
    if words[place] in _IN_TIME or "earlier" in said or "later" in said:
        sign = next(_IN_TIME[one] for one in (words[place], *said) if one in _IN_TIME)
        named = [c for c in evidence.columns_at(near, PARTIAL) if c in columns and is_time(evidence, c)]
        return (named[0], sign) if len(named) == 1 else None
    for word in reversed(said):
        if word in ("older", "younger"):
            return _by_age(evidence, columns, older=word == "older")
        if word in COMPARED:
            lexicon, sign = COMPARED[word]
            return _one(measuring(evidence, (table,), lexicon), sign)
        if word in _MORE:
            named = [c for c in evidence.columns_at(near, STEM) if c in columns]
            if named:
                return _one(named, _MORE[word])
            if "expensive" in said:
                return _one(measuring(evidence, (table,), MONEY), _MORE[word])
            return _one(measuring(evidence, (table,), PAY), _MORE[word]) if {*said} & {*_EARN} else None
    return None


def _by_age(evidence: Evidence, columns: list[int], *, older: bool) -> tuple[int, str] | None:
    """By age upward, by a day or year of birth downward."""
    ages = [c for c in columns if is_age(evidence, c)]
    births = [c for c in columns if is_time(evidence, c) and {*evidence.schema.columns[c].natural.split()} & BIRTH]
    return _one(ages, ">" if older else "<") if ages else _one(births, "<" if older else ">")


def _one(columns: list[int], sign: str) -> tuple[int, str] | None:
    return (columns[0], sign) if len(columns) == 1 else None
