"""How long something took: the days from its start to its end, where a table has one column of each.

The grammar has no arithmetic on dates, so the model counts rows or shows another number.
"""

from __future__ import annotations

import re
from dataclasses import replace

from normlab.data.text.word_forms import words_of
from normlab.tasks.text2sql.corrections.clauses import Clauses, Condition, Unit, bare_column, column_unit, function_unit
from normlab.tasks.text2sql.corrections.evidence import CERTAIN, EACH, Evidence
from normlab.tasks.text2sql.corrections.idle_tables import without_idle_table
from normlab.tasks.text2sql.corrections.superlatives import measuring

_ASKED = re.compile(
    r"\bhow (?:long|many days) (?:is|are|was|were|did|do|does|has|have)\b|\bdurations?\b|\bhow long \w+ \w+ lasted\b"
)
_LASTING = re.compile(r"\b(?:last|lasts|lasted|take|takes|took|run|runs|ran|durations?|long (?:is|are|was|were))\b")
_LONGEST = re.compile(r"\b(?:last|lasts|lasted|take|takes|took|run|runs|ran) (?:the )?(?P<way>longest|shortest)\b")
_STARTS = frozenset(("start", "begin", "began", "started", "beginning", "opening", "opened"))
_ENDS = frozenset(("end", "ended", "finish", "finished", "completion", "completed", "closing", "closed", "ending"))
_LENGTHS = "length duration days hours minutes weeks months"
_FUNCTIONS = {
    **dict.fromkeys(("average", "mean"), "avg"),
    **dict.fromkeys(("longest", "maximum", "max"), "max"),
    **dict.fromkeys(("shortest", "minimum", "min"), "min"),
}


def days_between(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Show the days from the start to the end of what the question asks the duration of."""
    text = " ".join(evidence.words)
    longest = _LONGEST.search(text)
    asked = longest or (_ASKED.search(text) and _LASTING.search(text))
    if not asked or clauses.nests or clauses.having or clauses.doubt:
        return None
    clauses = _over_named(clauses, evidence)
    named = [t for t in evidence.tables_at(range(len(evidence.words))) if t in clauses.tables]
    pairs = [pair for table in named or clauses.tables if (pair := _start_and_end(table, evidence))]
    if len(pairs) != 1 or evidence.says("than", "total", "sum", "second", "third") or _groups(evidence, pairs[0]):
        return None
    [(start, end)] = pairs
    table = evidence.schema.columns[start].table
    clauses = without_idle_table(clauses, table, evidence)
    units = [_day(column, clauses, evidence) for column in (end, start)]
    days = " - ".join(f"julianday(date({unit}))" for unit in units)
    told = (*clauses.told, f"days from {evidence.full_name(start)} to {evidence.full_name(end)}")
    flat = replace(clauses, group=(), order=(), direction="", limit="", distinct=False, told=told)
    label = tuple(map(column_unit, evidence.label(table)))
    each: Unit = (("value", f"CAST({days} AS INTEGER) AS days"),)
    if longest:
        if not flat.only_and or not label:
            return None
        ended = function_unit("coalesce({}, '')", end, clauses.tables, evidence.schema)
        flat = flat.with_condition(Condition(ended, "!=", ((("value", "''"),),)))
        direction = "desc" if longest["way"] == "longest" else "asc"
        return replace(flat, select=(*label, each), order=((("value", days),),), direction=direction, limit="1")
    functions = list(dict.fromkeys(_FUNCTIONS[said] for said in evidence.words if said in _FUNCTIONS))
    if functions:
        mean: Unit = (("value", f"{functions[0]}({days}) AS days"),)
        return replace(flat, select=(mean,)) if len(functions) == 1 else None
    return replace(flat, select=(*(() if _names_one(clauses, evidence.label(table)) else label), each))


def _over_named(clauses: Clauses, evidence: Evidence) -> Clauses:
    """The one table that the question names and that has a start and an end, where no value is compared."""
    named = evidence.tables_at(range(len(evidence.words)))
    values = any(v.kind in CERTAIN and v.end for v in evidence.linked.values)
    if values or len(named) != 1 or _start_and_end(named[0], evidence) is None:
        return clauses
    return Clauses(named, (column_unit(0),))


def _groups(evidence: Evidence, pair: tuple[int, int]) -> bool:
    """Whether groups are asked for; "each project" is a list of projects."""
    table = evidence.schema.columns[pair[0]].table
    return any(
        said in EACH and table not in evidence.tables_at([at + 1]) for at, said in enumerate(evidence.words[:-1])
    )


def _start_and_end(table: int, evidence: Evidence) -> tuple[int, int] | None:
    """The one column of days on which rows of a table start, and the one on which they end."""
    if measuring(evidence, (table,), _LENGTHS):
        return None
    columns = [c for c in evidence.schema.columns_of(table) if _is_day(c, evidence)]
    starts, ends = (
        [c for c in columns if set(words_of(evidence.schema.columns[c].natural)) & names] for names in (_STARTS, _ENDS)
    )
    return (starts[0], ends[0]) if len(starts) == len(ends) == 1 and starts != ends else None


def _is_day(column: int, evidence: Evidence) -> bool:
    """Whether a column holds days whose form is certain, without times of day, which days would cut off."""
    form = evidence.contents.date_form(column)
    return form is not None and not form.rivals and not any(":" in text for text in evidence.contents.texts(column))


def _day(column: int, clauses: Clauses, evidence: Evidence) -> str:
    form = evidence.contents.date_form(column)
    assert form is not None
    return str(function_unit(form.day_of("{0}"), column, clauses.tables, evidence.schema)[0][1])


def _names_one(clauses: Clauses, label: tuple[int, ...]) -> bool:
    return any(bare_column(one.unit) in label and one.comparison == "=" for one in clauses.where)
