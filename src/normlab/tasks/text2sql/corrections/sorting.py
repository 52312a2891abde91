"""Lists in an order that the question says: "sorted by price from high to low", "in alphabetical order of name"."""

from __future__ import annotations

import re
from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import Clauses, bare_column, column_unit, is_aggregate
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.corrections.superlatives import is_age
from normlab.tasks.text2sql.linking.linker import PARTIAL, STEM

_BY = re.compile(
    r"\b(?:sort(?:ed)?|order(?:ed)?|rank(?:ed)?|arranged?|listed)\b(?: \w+){0,3}? (?:by|of)\b"
    r"|\bin \w+ order (?:of|by)\b|\bby\b"
)
_HIGH = (
    "high|highest|large|largest|big|biggest|expensive|new|newest|latest|recent|old|oldest|long|longest|heaviest|fastest"
)
_LOW = "low|lowest|small|smallest|cheap|cheapest|old|oldest|earliest|young|youngest|short|shortest|lightest|slowest"
_TO = r"(?:\w+ )?to (?:the )?(?:most )?"
_DOWN = re.compile(
    r"\bdescending\b|\bdecreasing\b"
    r"|\b(?:newest|latest|recent|highest|largest|biggest|longest|youngest|best|expensive) first\b"
    rf"|\b(?:{_HIGH}) {_TO}(?:low|small|least|cheap|old|earl|young|short|light|slow)"
)
_UP = re.compile(
    r"\bascending\b|\bincreasing\b|\balphabetical|\b(?:oldest|earliest|lowest|smallest|shortest|cheapest) first\b"
    rf"|\b(?:{_LOW}) {_TO}(?:high|large|big|expensive|new|lat|recent|old|long|heav|fast)"
)


_FIRST_OF_ALL = re.compile(
    r"\b(?:newest|latest|recent|highest|largest|biggest|longest|youngest|best|expensive|oldest|earliest|lowest|smallest"
    r"|shortest|cheapest) first\b"
)


def sorted_as_said(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Sort a list by the column that stands after "by", the way the question says, without a limit."""
    wanted = evidence.wanted
    text = " ".join(evidence.words)
    if wanted is None or wanted.by not in ("list", "show", "give", "find", "display", "what", "return", "name", "tell"):
        return None
    down, up = _DOWN.search(text), _UP.search(text)
    match = _BY.search(text)
    if match is None and clauses.order and bool(down) != bool(up):
        return _the_other_way(clauses, evidence, text, downward=bool(down))
    if (
        match is None
        or (down and up)
        or any(map(is_aggregate, clauses.select))
        or evidence.says("each", "per", "group")
    ):
        return None
    if match.group() == "by" and not (down or up):
        return None
    start = len(text[: match.end()].split())
    column = _column_after(clauses, evidence, start)
    if column is None:
        one_way = match.group() != "by" and clauses.order and bool(down) != bool(up)
        return _the_other_way(clauses, evidence, text, downward=bool(down)) if one_way else None
    if clauses.only_and and not evidence.says("average", "than", "above", "below", "over", "under"):
        clauses = clauses.with_where(tuple(one for one in clauses.where if all(len(v) == 1 for v in one.values)))
    first = evidence.says("top", "most", "first") and not _FIRST_OF_ALL.search(text)
    limited = clauses.limit if _counts(evidence) or first else ""
    downward = bool(down) != _turned(evidence, column, text)
    return replace(
        clauses,
        group=(),
        having=(),
        having_connectors=(),
        order=(column_unit(column),),
        direction=_direction(downward) if up or down or not clauses.direction or clauses.limit else clauses.direction,
        limit=limited,
    )


def _the_other_way(clauses: Clauses, evidence: Evidence, text: str, *, downward: bool) -> Clauses:
    """The query's own order in the direction that is said, without a limit that is not."""
    column = bare_column(clauses.order[0])
    downward = downward != (column is not None and _turned(evidence, column, text))
    return replace(clauses, direction=_direction(downward), limit=clauses.limit if _counts(evidence) else "")


def _counts(evidence: Evidence) -> bool:
    """Whether a number of rows may be said: "first" is none in "oldest first"."""
    return any(evidence.words[at] != "first" for at in evidence.numbers)


def _turned(evidence: Evidence, column: int, text: str) -> bool:
    """Whether the oldest are at the top of a column: of ages, not of days of birth."""
    return is_age(evidence, column) and re.search(r"\b(?:oldest|youngest) first\b", text) is not None


def _direction(downward: bool) -> str:
    return "desc" if downward else "asc"


def _column_after(clauses: Clauses, evidence: Evidence, start: int) -> int | None:
    """The one column of the query's tables that the next words name."""
    for kind in (STEM, PARTIAL):
        for size in (1, 2, 3):
            columns = [
                c
                for c in evidence.columns_at(range(start, min(start + size, len(evidence.words))), kind)
                if evidence.schema.columns[c].table in clauses.tables
            ]
            if len(columns) == 1:
                return columns[0]
    return None
