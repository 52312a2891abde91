"""Rows of two tables side by side, by their names: "the projects and their departments"."""

from __future__ import annotations

from dataclasses import replace

from normlab.tasks.text2sql.corrections.clauses import Clauses, bare_column, column_unit
from normlab.tasks.text2sql.corrections.evidence import Evidence
from normlab.tasks.text2sql.linking.linker import PARTIAL

_THEIR = ("their", "its", "his", "her", "the")


def names_of_both(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Show a name of each of the two tables that "and their" joins, not one of them alone, twice, or by its number."""
    both = _both(evidence)
    shown = [bare_column(unit) for unit in clauses.select]
    if both is None or None in shown or clauses.group or not {*both} <= {*clauses.tables}:
        return None
    columns = evidence.schema.columns
    if any(c is None or (c and columns[c].table not in both) for c in shown):
        return None
    asked = {c for c in shown if c and not evidence.is_key(c)}
    if {columns[c].table for c in asked} == {*both} or evidence.says("id", "ids", "number", "numbers", "code", "codes"):
        return None
    labels = [evidence.label(table) for table in both]
    if not all(labels):
        return None
    own = [[c for c in asked if columns[c].table == table and _is_said(c, evidence)] for table in both]
    select = [c for named, label in zip(own, labels, strict=True) for c in (named or label)]
    return replace(clauses, select=tuple(map(column_unit, select)), distinct=False)


def _both(evidence: Evidence) -> tuple[int, int] | None:
    """The two tables of "X and their Y", where nothing else but Y's own words follows."""
    words, wanted = evidence.words, evidence.wanted
    if wanted is None or wanted.by == "how many" or len(wanted.tables) != 1:
        return None
    for place in range(wanted.start, len(words) - 2):
        if words[place] == "and" and words[place + 1] in _THEIR:
            after = evidence.tables_at(range(place + 2, len(words)))
            others = [table for table in after if table != wanted.tables[0]]
            return (wanted.tables[0], others[0]) if len(others) == 1 else None
    return None


def _is_said(column: int, evidence: Evidence) -> bool:
    """Whether a word names a column that is no table's name as well."""
    places = [at for at in range(len(evidence.words)) if not evidence.tables_at([at])]
    return column in evidence.columns_at(places, PARTIAL)
