"""Lists in an order that the question says: "sorted by price from high to low", "in alphabetical order of name"."""

from __future__ import annotations

import re
from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import Clauses, column_unit, is_aggregate
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.linking.linker import PARTIAL, STEM

_BY = re.compile(
    r"\b(?:sort(?:ed)?|order(?:ed)?|rank(?:ed)?|arranged?|listed)\b(?: \w+){0,3}? (?:by|of)\b"
    r"|\bin \w+ order (?:of|by)\b|\bby\b"
)
_HIGH = (
    "high|highest|large|largest|big|biggest|expensive|new|newest|latest|recent|old|oldest|long|longest|heaviest|fastest"
)
_LOW = "low|lowest|small|smallest|cheap|cheapest|old|oldest|earliest|young|youngest|short|shortest|lightest|slowest"
_TO = r"(?:\w+ )?to (?:the )?"
_DOWN = re.compile(
    r"\bdescending\b|\bdecreasing\b|\b(?:newest|latest|most recent|highest|largest) first\b"
    rf"|\b(?:{_HIGH}) {_TO}(?:low|small|least|cheap|old|earl|young|short|light|slow)"
)
_UP = re.compile(
    r"\bascending\b|\bincreasing\b|\balphabetical|\b(?:oldest|earliest|lowest|smallest|cheapest) first\b"
    rf"|\b(?:{_LOW}) {_TO}(?:high|large|big|expensive|new|lat|recent|old|long|heav|fast)"
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
        limit = clauses.limit if evidence.numbers else ""
        return replace(clauses, direction="desc" if down else "asc", limit=limit)
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
        return None
    if clauses.only_and and not evidence.says("average", "than", "above", "below", "over", "under"):
        clauses = clauses.with_where(tuple(one for one in clauses.where if all(len(v) == 1 for v in one.values)))
    limited = clauses.limit if evidence.numbers or evidence.says("top", "most", "first") else ""
    return replace(
        clauses,
        group=(),
        having=(),
        having_connectors=(),
        order=(column_unit(column),),
        direction="desc" if down else "asc" if up or not clauses.direction or clauses.limit else clauses.direction,
        limit=limited,
    )


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
