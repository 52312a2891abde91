"""Cells without a value (NULL), which answer a question that is not about them.

SQLite sorts them before everything else, so that "the oldest customer" is one whose birth date is not known, and a list
of keys with one NULL in it makes `NOT IN` true of nothing, so that no customer is "without orders". Where such a column
has blank cells, the query leaves them out. Queries of other forms stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_NAME = r'(?:\w+|"(?:[^"]|"")+")'
_COLUMN = rf"(?:(?P<alias>\w+)\.)?(?P<column>{_NAME})"
_NOT_IN = re.compile(rf"NOT IN \(SELECT {_COLUMN} FROM (?P<table>{_NAME})\)", re.IGNORECASE)
_FIRST = re.compile(
    rf"(?P<head>SELECT .+? FROM (?P<source>.+?))(?: WHERE (?P<where>.+?))?"
    rf"(?P<order> ORDER BY {_COLUMN} ASC LIMIT \d+(?: OFFSET \d+)?)",
    re.IGNORECASE,
)
_NTH = re.compile(r"= \((?P<inner>SELECT DISTINCT [^()]+ OFFSET \d+)\)$", re.IGNORECASE)
_TABLE = re.compile(rf"(?P<table>{_NAME})(?: AS (?P<alias>\w+))?", re.IGNORECASE)
_JOIN = re.compile(r" JOIN | ON ", re.IGNORECASE)
_OTHER_FORMS = re.compile(r"\b(?:GROUP BY|UNION|INTERSECT|EXCEPT)\b|\(SELECT", re.IGNORECASE)

HasBlanks = Callable[[str, str], bool]


def without_blanks(sql: str, has_blanks: HasBlanks) -> tuple[str, str]:
    """Return the query without blank cells where they would decide it, and that column; (sql, "") for others.

    Args:
        has_blanks: (table, column), as the query spells them -> whether that column has a cell without a value.
    """
    inner = _NOT_IN.search(sql)
    if inner and has_blanks(inner["table"], inner["column"]):
        at = inner.end() - 1
        return f"{sql[:at]} WHERE {inner['column']} IS NOT NULL{sql[at:]}", inner["column"]
    nth = _NTH.search(sql)
    if nth:
        text, column = without_blanks(nth["inner"], has_blanks)
        return sql[: nth.start("inner")] + text + ")", column
    first = _FIRST.fullmatch(sql)
    if first is None or _OTHER_FORMS.search(sql):
        return sql, ""
    table = _table_of(first["source"], first["alias"])
    if not table or not has_blanks(table, first["column"]):
        return sql, ""
    column = f"{first['alias']}.{first['column']}" if first["alias"] else first["column"]
    before = f"({first['where']}) AND " if first["where"] else ""
    return f"{first['head']} WHERE {before}{column} IS NOT NULL{first['order']}", first["column"]


def _table_of(source: str, alias: str | None) -> str:
    """Return the table of an alias in a FROM clause, or its one table; "" where that is not plain."""
    tables = [match for part in _JOIN.split(source) if (match := _TABLE.fullmatch(part.strip()))]
    if alias is None:
        return str(tables[0]["table"]) if len(tables) == 1 and _JOIN.search(source) is None else ""
    return next((str(one["table"]) for one in tables if one["alias"] == alias), "")
