"""Dates that SQLite does not compare as they stand: ordered and compared by their days, or said to be in no known form.

'03/15/2018' stands before '04/01/2017' in the order of texts. Where a query sorts by such a column, takes its first or
last, or compares it with a date, the column's expression for ISO dates takes its place (`data/sql/date_forms.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import Clauses, Condition, Unit, bare_column, function_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.grammar.automaton import Action, word

_ISO = re.compile(r"'\d{4}-\d\d-\d\d(?:[ T][\d:]+)?'")
_ENDS = (word("max"), word("min"))
_BY_SIZE = frozenset((">", "<", ">=", "<=", "between"))
_CLAUSES = frozenset(("where", "group", "having", "select", "order", "limit"))


def by_their_days(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Sort by days, not by texts, and take the first and last of them. It comes last: it knows the tables' aliases."""
    return replace(
        clauses,
        select=tuple(_end(unit, clauses, evidence) for unit in clauses.select),
        order=tuple(_sorted(unit, clauses, evidence) for unit in clauses.order),
        having=tuple(replace(one, unit=_end(one.unit, clauses, evidence)) for one in clauses.having),
    )


def compared_by_their_days(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Compare days with the dates of the question, which are ISO dates, or in the column's own form."""
    return replace(clauses, where=tuple(_compared(one, clauses, evidence) for one in clauses.where))


def not_comparable(actions: Sequence[Action], evidence: Evidence, *, compared: bool = True) -> str:
    """Return why the dates of a complete query cannot be sorted or compared as it does, "" if they can.

    Args:
        compared: whether its comparisons are looked at too; not if a period has taken their place.
    """
    for column, is_compared in _uses(actions):
        if is_compared and not compared:
            continue
        name = evidence.full_name(column)
        form, odd = evidence.contents.date_form(column), evidence.contents.odd_date(column)
        if odd:
            return f"{name} has dates such as '{odd}', in no one form that is known, so they are not comparable"
        if form is not None and form.rivals:
            return f"of the dates of {name} nothing says whether day or month stands first, so they are not comparable"
        if form is not None and not (form.is_iso if is_compared else form.sorts):
            return f"the dates of {name}, in the form {form.name}, are not comparable as this query compares them"
    return ""


def _uses(actions: Sequence[Action]) -> Iterator[tuple[int, bool]]:
    """Columns that a query, or one inside it, sorts by, takes an end of, or compares with a constant by size.

    The second value tells whether it is such a comparison.
    """
    clauses = ["from"]
    for place, (kind, text) in enumerate(actions):
        if kind == "word" and text == "(":
            clauses.append("from")
        elif kind == "word" and text == ")":
            clauses.pop()
        elif kind == "word" and text in _CLAUSES:
            clauses[-1] = str(text)
        elif kind == "column" and text:
            before = [action for action in actions[max(0, place - 2) : place] if action != word("distinct")]
            after = [action for action in actions[place + 1 : place + 4] if action != word("not")]
            if clauses[-1] == "order" or before[-1:] in ([_ENDS[0]], [_ENDS[1]]):
                yield int(text), False
            elif after[:1] and after[0][0] == "word" and after[0][1] in _BY_SIZE and after[1][0] == "value":
                yield int(text), True


def _day_of(column: int | None, clauses: Clauses, evidence: Evidence, pattern: str = "{}") -> Unit | None:
    """The unit that is the ISO date of a column whose form is certain."""
    form = None if column is None else evidence.contents.date_form(column)
    if form is None or form.rivals or column is None:
        return None
    return function_unit(pattern.format(form.day_of("{0}")), column, clauses.tables, evidence.schema)


def _sorts(column: int | None, evidence: Evidence) -> bool:
    form = None if column is None else evidence.contents.date_form(column)
    return form is None or form.sorts


def _sorted(unit: Unit, clauses: Clauses, evidence: Evidence) -> Unit:
    if unit[0] in _ENDS:
        return _end(unit, clauses, evidence)
    column = bare_column(unit)
    return unit if _sorts(column, evidence) else _day_of(column, clauses, evidence) or unit


def _end(unit: Unit, clauses: Clauses, evidence: Evidence) -> Unit:
    """max and min of days."""
    column = int(unit[-1][1]) if len(unit) == 2 and unit[0] in _ENDS and unit[-1][0] == "column" else None
    if column is None or _sorts(column, evidence):
        return unit
    return _day_of(column, clauses, evidence, f"{unit[0][1]}({{}})") or unit


def _compared(condition: Condition, clauses: Clauses, evidence: Evidence) -> Condition:
    column = condition.column
    form = None if column is None else evidence.contents.date_form(column)
    constants = condition.constants
    if form is None or form.is_iso or len(constants) != len(condition.values) or condition.comparison in ("like", "in"):
        return condition
    days = [text if _ISO.fullmatch(text) else _quoted(form.iso(text.strip("'"))) for text in constants]
    unit = _day_of(column, clauses, evidence)
    if unit is None or not all(days) or (days != list(constants) and condition.comparison in ("=", "!=")):
        return condition
    return replace(condition, unit=unit, values=tuple((("value", day),) for day in days))


def _quoted(day: str | None) -> str:
    return f"'{day}'" if day else ""
