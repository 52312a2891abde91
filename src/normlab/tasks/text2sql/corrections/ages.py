"""Ages where a table holds dates of birth alone: "the average age", "how old is Anna", "older than 40".

The grammar has no arithmetic on dates, so the model takes another number for the age. An age is counted in whole years,
by this machine's day. Where a column holds ages it is the one that is meant, and the rule stays away.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from normlab.data.text.word_forms import words_of
from normlab.tasks.text2sql.corrections.clauses import (
    Clauses,
    Condition,
    Unit,
    bare_column,
    column_unit,
    function_unit,
    is_aggregate,
)
from normlab.tasks.text2sql.corrections.comparing import said_sign
from normlab.tasks.text2sql.corrections.evidence import EACH, Evidence
from normlab.tasks.text2sql.corrections.idle_tables import without_idle_table
from normlab.tasks.text2sql.corrections.qualities import BIRTH
from normlab.tasks.text2sql.corrections.superlatives import is_age
from normlab.tasks.text2sql.grammar.automaton import word
from normlab.tasks.text2sql.linking.linker import PARTIAL, STEM

_COMPARED = (
    "is|are|was|were|of|over|under|above|below|than|greater|less|more|higher|lower|at|least|most|between|to|the|and"
)
_BEFORE = re.compile(rf"\b(?:older|younger) than(?: the age of)?$|\bage[ds]?(?: (?:{_COMPARED}|\d+|older|younger))*$")
_AFTER = re.compile(r"^(?:- )?(?:years?|yrs?)(?: -)? (?:old|of age)\b|^(?:\w+ )?or (?:older|younger)\b")
_SIGNS = {"older": ">", "younger": "<"}
_NEGATED = {">": "<=", "<": ">="}
_OLDEST = 150
_FUNCTIONS = {
    **dict.fromkeys(("average", "mean"), "avg"),
    **dict.fromkeys(("maximum", "max", "highest", "greatest", "oldest", "eldest"), "max"),
    **dict.fromkeys(("minimum", "min", "lowest", "youngest"), "min"),
}
_TITLES = {"avg": "average_age", "max": "oldest_age", "min": "youngest_age"}
_OTHER = frozenset(("group", "groups", "range", "difference", "gap", "limit", "total", "sum", "median", "same"))
_SORTED = re.compile(
    r"\b(?:sort|order|rank)(?:ed)?(?: \w+){0,4}? by (?:their |the )?ages?\b|\border of (?:their )?age\b"
)
_DOWN = re.compile(r"\bdescending\b|\bdecreasing\b|\boldest first\b|\bold(?:est)? to (?:the )?young")


@dataclass(frozen=True)
class AgeMention:
    """Words [start, end) of a question that are an age, how it is compared, and the age; two with "between"."""

    start: int
    end: int
    comparison: str
    ages: tuple[int, ...]


@dataclass(frozen=True)
class _Birth:
    """A column of dates of birth, its ISO day and the age by it as units."""

    column: int
    day: Unit
    age: Unit


def by_age(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Compute ages from dates of birth, where they are compared, asked for or sorted by."""
    mentions = list(age_mentions(evidence))
    place = _asked_at(evidence, mentions)
    text = " ".join(evidence.words)
    sorts = bool(clauses.order) and _SORTED.search(text) is not None
    if (not mentions and place is None and not sorts) or clauses.doubt:
        return None
    clauses = _over_people(clauses, evidence) if mentions else clauses
    column = _birth(clauses, evidence)
    if column is None or clauses.nests:
        return None
    clauses = without_idle_table(clauses, evidence.schema.columns[column].table, evidence)
    form = evidence.contents.date_form(column)
    name = evidence.full_name(column)
    if form is None or form.rivals:
        return replace(clauses, doubt=f"ages need days of birth, and those of {name} are in no one form that is known")
    day = column_unit(column)
    if not form.is_iso:
        day = function_unit(form.day_of("{0}"), column, clauses.tables, evidence.schema)
    age = function_unit(_age(form.day_of("{0}"), evidence.today), column, clauses.tables, evidence.schema)
    birth = _Birth(column, day, age)
    after: Clauses | None = clauses
    for mention in mentions:
        after = None if after is None else _compared(after, mention, birth, evidence)
    if after is not None and place is not None:
        after = _asked(after, place, birth, evidence)
    if after is not None and sorts:
        after = replace(after, order=(day,), direction="asc" if _DOWN.search(text) else "desc")
    if after is None:
        return None
    return replace(after, told=(*after.told, f"ages are whole years on {evidence.today} by {name}"))


def _age(day: str, today: datetime.date) -> str:
    """SQL for whole years: those of the calendar, less one before this year's birthday."""
    return f"{today.year} - strftime('%Y', {day}) - (strftime('%m-%d', {day}) > '{today:%m-%d}')"


def _birth(clauses: Clauses, evidence: Evidence) -> int | None:
    """The one column of dates of birth of the query's tables, none of which has a column of ages."""
    wanted = evidence.wanted
    subjects = set(wanted.tables) if wanted else set()
    columns = [c for t in {*clauses.tables, *subjects} for c in evidence.schema.columns_of(t)]
    if any(is_age(evidence, c) or "age" in words_of(evidence.schema.columns[c].natural) for c in columns):
        return None
    births = [c for t in clauses.tables for c in evidence.schema.columns_of(t) if _is_birth(c, evidence)]
    own = [c for c in births if evidence.schema.columns[c].table in subjects]
    births = own if len(births) > 1 else births
    return births[0] if len(births) == 1 else None


def _over_people(clauses: Clauses, evidence: Evidence) -> Clauses:
    """ "Who is older than 40", which names no table: the one table with dates of birth, where the query has none."""
    named = evidence.tables_at(range(len(evidence.words))) or any(v.kind == "cell" for v in evidence.linked.values)
    births = [c for c in range(1, len(evidence.schema.columns)) if _is_birth(c, evidence)]
    table = evidence.schema.columns[births[0]].table if len(births) == 1 else None
    if named or not evidence.says("who") or table is None or table in clauses.tables or len(clauses.where) != 1:
        return clauses
    return Clauses((table,), tuple(map(column_unit, evidence.label(table))) or (column_unit(0),), clauses.where)


def _is_birth(column: int, evidence: Evidence) -> bool:
    named = set(words_of(evidence.schema.columns[column].natural)) & BIRTH
    return bool(named) and (evidence.contents.is_date(column) or bool(evidence.contents.odd_date(column)))


def age_mentions(evidence: Evidence) -> Iterator[AgeMention]:
    """The numbers of the question that are ages; the two of "between 20 and 30" are one mention."""
    words = evidence.words
    numbers = sorted({(v.start, v.end, v.sql) for v in evidence.linked.values if v.kind == "number" and v.end})
    last = -1
    for index, (start, end, number) in enumerate(numbers):
        if start < last or not _is_age(number):
            continue
        following = numbers[index + 1] if index + 1 < len(numbers) else None
        if following and following[0] == end + 1 and words[end] in ("and", "to", "-") and _is_age(following[2]):
            between = words[start - 1] == "between" or words[end] != "and"
            if between and (_is_said(evidence, start, end) or _is_said(evidence, following[0], following[1])):
                yield AgeMention(start, following[1], "between", (int(number), int(following[2])))
                last = following[1]
            continue
        if not _is_said(evidence, start, end):
            continue
        before = words[max(0, start - 6) : start]
        sign = said_sign(evidence, start, end, None) or next((_SIGNS[w] for w in before if w in _SIGNS), "=")
        if {"not", "nt", "n't", "never"} & set(words[max(0, start - 5) : start]):
            sign = _NEGATED.get(sign, sign)
        yield AgeMention(start, end, sign, (int(number),))


def _is_age(number: str) -> bool:
    return number.isdigit() and int(number) <= _OLDEST


def _is_said(evidence: Evidence, start: int, end: int) -> bool:
    before = " ".join(evidence.words[max(0, start - 6) : start])
    after = " ".join(evidence.words[end : end + 5])
    return bool(_BEFORE.search(before) or _AFTER.search(after))


def _compared(clauses: Clauses, mention: AgeMention, birth: _Birth, evidence: Evidence) -> Clauses | None:
    """Days of birth in the place of the condition that compares the number with something else."""
    if any(_is_of(one, mention, evidence) for one in clauses.having):
        return None
    if not clauses.only_and:
        if evidence.says("or", "either"):
            return None
        clauses = clauses.with_where(clauses.where)
    mine = [index for index, one in enumerate(clauses.where) if _is_of(one, mention, evidence)]
    first = mine[0] if mine else len(clauses.where)
    kept = [one for index, one in enumerate(clauses.where) if index not in mine]
    return clauses.with_where((*kept[:first], *_born(mention, birth, evidence.today), *kept[first:]))


def _born(mention: AgeMention, birth: _Birth, today: datetime.date) -> Iterator[Condition]:
    """Who is k years old or older was born before the day after that of k years ago; a time may stand behind a day."""
    low, high = {
        ">=": (mention.ages[0], None),
        ">": (mention.ages[0] + 1, None),
        "<": (None, mention.ages[0]),
        "<=": (None, mention.ages[0] + 1),
    }.get(mention.comparison, (mention.ages[0], mention.ages[-1] + 1))
    for years, comparison in ((low, "<"), (high, ">=")):
        if years is not None:
            yield Condition(birth.day, comparison, ((("value", f"'{_day_after(today, years)}'"),),))


def _day_after(today: datetime.date, years: int) -> datetime.date:
    """The day after that of some years ago; without a 29 February it is 1 March."""
    last = today.day if (today.month, today.day) != (2, 29) else 28
    return today.replace(year=today.year - years, day=last) + datetime.timedelta(days=1)


def _is_of(condition: Condition, mention: AgeMention, evidence: Evidence) -> bool:
    """Whether a condition compares with the number of a mention, and with no other."""
    spans = {(v.start, v.end) for text in condition.constants for v in evidence.values_of(text) if v.kind == "number"}
    return bool(spans) and all(mention.start <= start < mention.end for start, _ in spans)


def _asked_at(evidence: Evidence, mentions: list[AgeMention]) -> int | None:
    """The place of the word that asks for ages, None where they are only compared or grouped by."""
    words, wanted = evidence.words, evidence.wanted
    for place, said in enumerate(words):
        before, after = words[place - 1] if place else "", words[place + 1] if place + 1 < len(words) else ""
        if said == "old" and before == "how":
            return place
        if said not in ("age", "ages") or {before, after} & _OTHER or before in ("each", "every", "per", "by", "of"):
            continue
        if any(place < mention.start <= place + 6 for mention in mentions):
            continue
        asked = wanted is not None and wanted.by != "how many" and wanted.start <= place < max(wanted.end, place + 1)
        if before in _FUNCTIONS or (asked and wanted and place < _end(evidence, wanted.end)):
            return place
    return None


def _end(evidence: Evidence, end: int) -> int:
    """The end of what is asked for; "age" names no column, so that the noun may end before "and age"."""
    words = evidence.words
    while end + 1 < len(words) and words[end] in ("and", ","):
        end += 2
    return end


def _asked(clauses: Clauses, place: int, birth: _Birth, evidence: Evidence) -> Clauses | None:
    functions = _functions(evidence, place)
    sql = str(birth.age[0][1])
    if functions[1:] == ["avg"] and evidence.words[place - 2] in _FUNCTIONS:  # "the highest average age", of groups
        direction = {"max": "desc", "min": "asc"}.get(functions[0], "")
        mean: Unit = (("value", f"avg({sql})"),)
        return replace(clauses, order=(mean,), direction=direction) if clauses.group and clauses.order else None
    if functions:
        if evidence.says(*EACH) and not clauses.group:
            return None
        shown = list(dict.fromkeys(unit for unit in clauses.select if _is_kept(unit, clauses, evidence)))
        ages: list[Unit] = [(("value", f"{function}({sql}) AS {_TITLES[function]}"),) for function in functions]
        flat = clauses if clauses.group else replace(clauses, order=(), direction="", limit="")
        return replace(flat, select=(*shown, *ages), distinct=False)
    if clauses.group or clauses.having:
        return None
    label = evidence.label(evidence.schema.columns[birth.column].table)
    places = range(evidence.wanted.start, place) if evidence.wanted else range(place)
    named = set(evidence.columns_at(places, PARTIAL))
    names = evidence.says("name", "names") or (evidence.words[place] == "old" and not _is_one(clauses, label))
    shown = [unit for unit in clauses.select if bare_column(unit) in {*named, *(label if names else ())} - {None}]
    if names and not shown:
        shown = list(map(column_unit, label))
    one: Unit = (("value", f"{sql} AS age"),)
    return replace(clauses, select=(*shown, one), distinct=False)


def _functions(evidence: Evidence, place: int) -> list[str]:
    """What is asked of the ages: their mean, largest or smallest; () for each one's."""
    words = evidence.words
    found, at = [], place - 1
    while at >= 0 and (words[at] in _FUNCTIONS or words[at] in ("and", ",", "the")):
        found += [_FUNCTIONS[words[at]]] if words[at] in _FUNCTIONS else []
        at -= 1
    if found:
        return found[::-1]
    behind = words[place + 1 :]
    if "average" in behind and (evidence.says("on") or words[place] == "old"):
        return ["avg"]
    ends = [_FUNCTIONS[said] for said in behind if said in ("oldest", "youngest", "eldest")]
    alone = words[place] == "old" or words[place - 1] in ("the", "what", "is")
    return ends if len(ends) == 1 and alone and not evidence.says("name", "names", "second", "third") else []


def _is_kept(unit: Unit, clauses: Clauses, evidence: Evidence) -> bool:
    """Whether a query that computes ages still shows a unit: of its groups, a count, an aggregate that is named."""
    if not is_aggregate(unit):
        return bool(clauses.group) and bare_column(unit) != 0
    column = int(unit[-1][1]) if unit[-1][0] == "column" else 0
    if unit[0] == word("count"):
        return evidence.says("many", "number", "count")
    return bool(column) and evidence.named(column, STEM)


def _is_one(clauses: Clauses, label: tuple[int, ...]) -> bool:
    """Whether a condition names one row, or an order picks one."""
    return clauses.limit == "1" or any(one.column in label and one.comparison == "=" for one in clauses.where)
