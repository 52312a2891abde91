"""Two rows of one table side by side: each employee and his manager, who earns more than their boss, pairs alike.

The decoder's grammar has each table once in a FROM, so a rule writes the whole query, with the table as T1 and T2. Only
plain forms of one question are answered. A question that plainly is of this kind and of which a part is unclear gets
the reason instead: whatever the model writes with one use of the table has other rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from normlab.data.sql.inferred_keys import role_of
from normlab.data.sql.schema import quote
from normlab.data.text.word_forms import words_of
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.qualities import BIRTH, MONEY, PAY
from normlab.tasks.text2sql.corrections.superlatives import is_age, is_number, is_time, measuring
from normlab.tasks.text2sql.linking.linker import PARTIAL, STEM

_OWN = r"(?:their|his or her|his|her|its)(?: own)?"
_THAN = re.compile(rf"\bthan (?:that of |those of |the one of )?{_OWN} (?P<role>\w+)\b(?P<rest>.*)$")
_TIME = re.compile(rf"\b(?P<sign>before|after) {_OWN} (?P<role>\w+)\b(?P<rest>.*)$")
_AND = re.compile(
    rf"\b(?:and|with|beside) (?:the )?(?:names? of |of |that of )?{_OWN} (?P<role>\w+)\b(?P<rest>.*)$|"
    rf"\bfor (?:each|every) \w+ .*\b(?:and|show|list|give|is) (?:the )?(?:names? of )?{_OWN} (?P<role2>\w+)\b"
    r"(?P<rest2>.*)$"
)
_OF_EACH = re.compile(r"\b(?P<role>\w+) of (?:each|every|all)(?: the)? (?P<rest>.*)$")
_PAIRS = re.compile(r"\b(?:all )?pairs? of (?P<what>.+?) (?:\w+ ){0,3}?the same (?P<column>.+?)$")
_MORE = frozenset(
    [
        "more",
        "higher",
        "greater",
        "larger",
        "bigger",
        "older",
        "taller",
        "heavier",
        "longer",
        "later",
        "better",
        "richer",
        "after",
    ]
)
_LESS = frozenset(
    [
        "less",
        "fewer",
        "lower",
        "smaller",
        "younger",
        "shorter",
        "lighter",
        "earlier",
        "worse",
        "poorer",
        "cheaper",
        "before",
        "newer",
    ]
)
_MEASURES = {
    **dict.fromkeys(("earn", "earns", "paid", "make", "makes", "earned"), PAY),
    **dict.fromkeys(("cost", "costs", "cheaper", "expensive"), MONEY),
    **dict.fromkeys(("weigh", "weighs", "heavier", "lighter"), "weight mass"),
    **dict.fromkeys(("taller",), "height elevation"),
}
_REST = frozenset(
    ["'", "'s", "s", "’", "?", ".", "do", "does", "did", "is", "was", "are", "has", "have", "had", "name", "names"]
)
_KEYS = frozenset(["id", "ids", "number", "numbers", "code", "codes", "key", "keys"])
_CERTAIN = ("cell", "number", "quoted", "date")


@dataclass(frozen=True)
class JoinedWithItself:
    """A query over two uses of one table and lines about it; or, without a query, why none is certain."""

    sql: str = ""
    notes: tuple[str, ...] = ()
    doubt: str = ""


@dataclass(frozen=True)
class _Own:
    """A key from a table to itself."""

    table: int
    child: int
    parent: int


def joined_with_itself(evidence: Evidence) -> JoinedWithItself | None:
    """Return the query of a question that needs a table twice; None for a question that does not plainly do so."""
    text = " ".join(evidence.words)
    for form, write in ((_THAN, _compared), (_TIME, _compared), (_AND, _beside), (_OF_EACH, _beside)):
        found = form.search(text)
        if found is None:
            continue
        groups = found.groupdict()
        role, rest = groups["role"] or groups.get("role2") or "", groups["rest"] or groups.get("rest2") or ""
        keys = _own_keys(evidence, role)
        if set(rest.split()) & _KEYS:  # "with their manager id" is a column
            continue
        if not keys or _names_another(evidence, role, {key.table for key in keys}):
            continue
        start = len(text[: found.start()].split())
        sql = write(evidence, keys[0], start, rest.split()) if len(keys) == 1 and _all_said(evidence) else ""
        if sql:
            return JoinedWithItself(sql, _notes(sql, role))
        if form is not _OF_EACH:
            return _unclear(evidence, keys[0].table)
    return _alike(evidence, text)


def _notes(sql: str, role: str) -> tuple[str, ...]:
    return (f"rows without a {role} are shown, too",) if " LEFT JOIN " in sql else ()


def _unclear(evidence: Evidence, table: int) -> JoinedWithItself:
    name = evidence.schema.tables[table].name
    return JoinedWithItself(doubt=f"the question needs the table {name} twice, and it is not certain how")


def _own_keys(evidence: Evidence, role: str) -> list[_Own]:
    """Keys to their own table whose names say the role, of the tables that the question names if it names any such."""
    meant = role_of(role)
    found = []
    for child, parent in evidence.schema.foreign_keys:
        one, other = evidence.schema.columns[child], evidence.schema.columns[parent]
        words = words_of(one.natural)
        if one.table == other.table and ((meant and meant in map(role_of, words)) or role in words):
            found.append(_Own(one.table, child, parent))
    named = set(evidence.tables_at(range(len(evidence.words))))
    return [key for key in found if key.table in named] or found


def _names_another(evidence: Evidence, role: str, tables: set[int]) -> bool:
    """Whether the word for the role names a table of its own, or the question is about others than these tables."""
    places = range(len(evidence.words))
    own = [place for place in places if evidence.words[place] == role]
    return bool(set(evidence.tables_at(own)) - tables)


def _all_said(evidence: Evidence) -> bool:
    """Whether the question has no further condition: no value, and no second table or list to choose from."""
    places = [range(value.start, value.end) for value in evidence.linked.values if value.kind in _CERTAIN]
    places += [range(start, start + 1) for start in evidence.numbers]
    values = any(len(span) and not evidence.columns_at(span) for span in places)  # "first name" holds no number
    return not values and len(set(evidence.tables_at(range(len(evidence.words))))) <= 1


def _compared(evidence: Evidence, key: _Own, start: int, rest: Sequence[str]) -> str:
    """ "employees who earn more than their manager", "hired before their manager"; "" where the column is unclear."""
    words = evidence.words
    signs = [place for place in range(max(0, start - 6), min(start + 1, len(words))) if words[place] in _MORE | _LESS]
    if len(signs) != 1 or evidence.says("or", "not", "average", "n't", "twice", "times", "most", "least"):
        return ""
    [place] = signs
    measured = _measured(evidence, key.table, place, start)
    if measured is None or not _nothing_more(evidence, rest, {measured, key.child, *evidence.label(key.table)}):
        return ""
    upward = words[place] in _MORE
    births = is_time(evidence, measured) and words[place] in ("older", "younger")
    sign = ">" if upward != births else "<"
    column = _name(evidence, measured)
    where = f" WHERE T1.{column} {sign} T2.{column}"
    return f"SELECT {_shown(evidence, key.table)} FROM {_twice(evidence, key)}{where}"


def _measured(evidence: Evidence, table: int, place: int, than: int) -> int | None:
    """The one column that is compared: named beside the comparison, measured by its verb, or what the word is about."""
    words = evidence.words
    for places in (range(place + 1, than), range(max(0, place - 3), place)):
        for kind in (STEM, PARTIAL):
            named = [c for c in evidence.columns_at(places, kind) if evidence.schema.columns[c].table == table]
            named = [c for c in named if is_number(evidence, c)]
            if len(named) == 1:
                return named[0]
    for near in (*words[max(0, place - 3) : place + 2],):
        if near in _MEASURES:
            found = measuring(evidence, [table], _MEASURES[near])
            return found[0] if len(found) == 1 else None
    columns = evidence.schema.columns_of(table)
    if words[place] in ("older", "younger"):
        ages = [c for c in columns if is_age(evidence, c)]
        births = [c for c in columns if is_time(evidence, c) and set(words_of(_natural(evidence, c))) & BIRTH]
        fitting = ages or births
        return fitting[0] if len(fitting) == 1 else None
    if words[place] in ("earlier", "later", "before", "after"):
        times = [c for c in columns if is_time(evidence, c) and not set(words_of(_natural(evidence, c))) & BIRTH]
        return times[0] if len(times) == 1 else None
    return None


def _beside(evidence: Evidence, key: _Own, start: int, rest: Sequence[str]) -> str:
    """ "each employee and his manager": both names; "" where more is asked for."""
    label = evidence.label(key.table)
    if not label or evidence.says("than", "most", "least", "average", "many", "same", "or", "not", "without", "no"):
        return ""
    if not _nothing_more(evidence, rest, {key.child, *label}) or evidence.wanted is None:
        return ""
    others = ", ".join(f"T2.{_name(evidence, column)}" for column in label)
    return f"SELECT {_shown(evidence, key.table)}, {others} FROM {_twice(evidence, key, left=True)}"


def _alike(evidence: Evidence, text: str) -> JoinedWithItself | None:
    """ "pairs of flights from the same city": each two rows once."""
    found = _PAIRS.search(text)
    if found is None:
        return None
    start = len(text[: found.start("what")].split())
    tables = evidence.tables_at(range(start, start + len(found["what"].split())))
    if len(tables) != 1:
        return None
    [table] = tables
    behind = range(len(text[: found.start("column")].split()), len(evidence.words))
    key, label = evidence.key_of(table), evidence.label(table)
    shown = label or ((key,) if key is not None else ())
    for kind in (STEM, PARTIAL):
        columns = [c for c in evidence.columns_at(behind, kind) if evidence.schema.columns[c].table == table]
        if len(columns) == 1 and key is not None and _all_said(evidence):
            name, same, own = _name(evidence, table=table), _name(evidence, columns[0]), _name(evidence, key)
            select = ", ".join(f"{use}.{_name(evidence, column)}" for use in ("T1", "T2") for column in shown)
            on = f"T1.{same} = T2.{same} AND T1.{own} < T2.{own}"
            return JoinedWithItself(f"SELECT {select} FROM {name} AS T1 JOIN {name} AS T2 ON {on}")
    return _unclear(evidence, table)


def _nothing_more(evidence: Evidence, rest: Sequence[str], known: set[int]) -> bool:
    """Whether the words behind the role only name it again, its table or columns that are in the query already."""
    places = range(len(evidence.words) - len(rest), len(evidence.words))
    return all(
        evidence.words[place] in _REST
        or evidence.tables_at([place])
        or bool(set(evidence.columns_at([place], PARTIAL)) & known)
        or evidence.words[place] in _MEASURES
        for place in places
    )


def _shown(evidence: Evidence, table: int) -> str:
    """The columns asked for of the first row, its name if none are; a count for "how many"."""
    wanted = evidence.wanted
    if wanted is not None and wanted.by == "how many":
        return "count(*)"
    whose = wanted is None or wanted.by == "whose"  # then the words behind it are compared, not asked for
    asked = [c for c in (wanted.columns if wanted and not whose else ()) if evidence.schema.columns[c].table == table]
    nouns = [p for p in range(wanted.start, wanted.end) if evidence.words[p] not in _MEASURES] if wanted else []
    asked = [c for c in asked if c in evidence.columns_at(nouns)]  # "employees earn": nobody asks for the salary
    asked = [c for c in asked if not any(c in pair for pair in evidence.schema.foreign_keys)]
    columns = asked or list(evidence.label(table)) or [c for c in (evidence.key_of(table),) if c is not None] or [0]
    return ", ".join("T1.*" if column == 0 else f"T1.{_name(evidence, column)}" for column in columns)


def _twice(evidence: Evidence, key: _Own, *, left: bool = False) -> str:
    table = _name(evidence, table=key.table)
    join = "LEFT JOIN" if left else "JOIN"
    return f"{table} AS T1 {join} {table} AS T2 ON T1.{_name(evidence, key.child)} = T2.{_name(evidence, key.parent)}"


def _natural(evidence: Evidence, column: int) -> str:
    return evidence.schema.columns[column].natural


def _name(evidence: Evidence, column: int = 0, *, table: int | None = None) -> str:
    return quote(evidence.schema.columns[column].name if table is None else evidence.schema.tables[table].name)
