"""Which way a number of the question is compared: "older than 40", "at most 5", "after the minute 80"."""

from __future__ import annotations

import re
from dataclasses import replace

from normlab.data.text.word_forms import words_of
from normlab.tasks.text2sql.corrections.clauses import Clauses, Condition, column_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.qualities import COMPARED
from normlab.tasks.text2sql.corrections.superlatives import measuring

_MORE = (
    "more|greater|larger|higher|bigger|longer|heavier|taller|older|faster|later|wider|deeper|richer|stronger|better|"
    "costlier|over|above|after|beyond|exceed|exceeds|exceeding|exceeded"
)
_LESS = (
    "less|fewer|lower|smaller|shorter|lighter|younger|slower|earlier|narrower|cheaper|poorer|weaker|newer|under|below|"
    "before"
)
_CUE = re.compile(
    rf"(?P<least>at least|no (?:less|fewer|lower) than|not (?:less|fewer|under|below|before)(?: than)?|minimum of)"
    rf"|(?P<most>at most|up to|no (?:more|greater|higher|later|older) than|not (?:more|over|above|after)(?: than)?"
    rf"|maximum of)"
    rf"|(?P<more>\b(?:{_MORE})\b)|(?P<less>\b(?:{_LESS})\b)"
)
_AFTER = re.compile(
    r"^(?:\w+ )?or (?:(?P<least>more|above|over|later|older|higher|greater|longer)"
    r"|(?P<most>less|fewer|below|under|earlier|younger|lower|shorter))\b"
)
_SIGNS = {"least": ">=", "most": "<=", "more": ">", "less": "<"}
_TURNED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
_REACH = 6
"""Words before a number among which its comparison stands."""
_AGED = {"older": True, "younger": True, "newer": True}
_CHANGEABLE = ("=", ">", "<", ">=", "<=")


def compared_as_said(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Turn comparisons whose direction is another one than the words before their number say."""
    where = tuple(_turned(one, evidence) for one in clauses.where)
    having = tuple(_turned(one, evidence) for one in clauses.having)
    return replace(clauses, where=where, having=having)


def _turned(condition: Condition, evidence: Evidence) -> Condition:
    if condition.comparison not in _CHANGEABLE or condition.negated or len(condition.constants) != 1:
        return condition
    spans = [(v.start, v.end) for v in evidence.values_of(condition.constants[0]) if v.kind in ("number", "date")]
    if len(spans) != 1:
        return condition
    sign = said_sign(evidence, *spans[0], condition.column)
    return replace(condition, comparison=sign) if sign else condition


def measured_as_said(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Compare the number behind "cheaper than" with the one column of prices, not with another number."""
    return replace(clauses, where=tuple(_measured(one, clauses, evidence) for one in clauses.where))


def _measured(condition: Condition, clauses: Clauses, evidence: Evidence) -> Condition:
    if condition.column is None or condition.comparison not in _CHANGEABLE or len(condition.constants) != 1:
        return condition
    spans = [(v.start, v.end) for v in evidence.values_of(condition.constants[0]) if v.kind == "number"]
    start = spans[0][0] if len(spans) == 1 else 0
    word = evidence.words[start - 2] if start > 1 and evidence.words[start - 1] == "than" else ""
    unit = evidence.words[spans[0][1] : spans[0][1] + 1] if spans else ()
    if word not in COMPARED or unit in (("hours",), ("hour",)):  # of which nothing says whether the column holds them
        return condition
    lexicon, sign = COMPARED[word]
    columns = measuring(evidence, clauses.tables, lexicon)
    if len(columns) != 1 or condition.column == columns[0]:
        return condition
    return replace(condition, unit=column_unit(columns[0]), comparison=sign)


def year_in_its_column(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Compare a year of the question ("before 2000") with the one column of years, not with another number."""
    if not any(_YEAR.fullmatch(constant.strip("'")) for one in clauses.where for constant in one.constants):
        return None  # before any cell is read
    tables = clauses.tables
    years = [c for t in tables for c in evidence.schema.columns_of(t) if evidence.contents.is_year(c)]
    years = [column for column in years if not evidence.is_key(column)]
    dates = [c for t in tables for c in evidence.schema.columns_of(t) if evidence.contents.is_date(c)]
    if len(years) != 1 or dates:
        return None
    where = tuple(_of_year(one, years[0], evidence) for one in clauses.where)
    return replace(clauses, where=where)


def _of_year(condition: Condition, column: int, evidence: Evidence) -> Condition:
    if condition.column in (None, column) or condition.comparison not in _CHANGEABLE or len(condition.constants) != 1:
        return condition
    text = condition.constants[0].strip("'")
    spans = [(v.start, v.end) for v in evidence.values_of(text) if v.kind in ("number", "date")]
    if not _YEAR.fullmatch(text) or len(spans) != 1 or spans[0][0] == 0:
        return condition
    word = evidence.words[spans[0][0] - 1]
    if word not in _YEAR_SIGNS:
        return condition
    return Condition(column_unit(column), _YEAR_SIGNS[word], ((("value", text),),))


_YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
_YEAR_SIGNS = {"in": "=", "during": "=", "before": "<", "after": ">", "since": ">=", "until": "<="}


def said_sign(evidence: Evidence, start: int, end: int, column: int | None) -> str | None:
    """Return the comparison that the words around a number say, None where they say none."""
    after = _AFTER.match(" ".join(evidence.words[end : end + 3]))
    if after:
        return _SIGNS[str(after.lastgroup)]
    first = max(0, start - _REACH)
    taken = [place for value in evidence.linked.values if value.kind in ("number", "date") for place in (value.end,)]
    first = max([first, *(place for place in taken if place <= start)])
    before = " ".join(evidence.words[first:start])
    found = list(_CUE.finditer(before))
    if not found:
        return None
    cue = found[-1]
    gap = before[cue.end() :].split()
    if len(gap) > 3 or any(word in _BREAKS for word in gap):
        return None
    sign = _SIGNS[str(cue.lastgroup)]
    if cue.group() in _AGED and column is not None and not _is_age(evidence, column):
        sign = _TURNED[sign]  # who is older was born earlier
    return sign


_BREAKS = frozenset(["and", "or", "with", "whose", "who", "which", "that", "is", "are", "has", "have", ",", "?"])


def _is_age(evidence: Evidence, column: int) -> bool:
    return not (evidence.contents.is_date(column) or evidence.contents.is_year(column) or _tells_time(evidence, column))


def _tells_time(evidence: Evidence, column: int) -> bool:
    words = set(words_of(evidence.schema.columns[column].natural))
    return bool(words & {"year", "date", "birth", "born", "founded", "built", "birthday"})
