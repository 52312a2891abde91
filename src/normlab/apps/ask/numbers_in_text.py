"""Numbers that a database keeps as texts: the query sorts, compares and adds what they say, not how they are spelled.

The grammar knows columns and no casts, so the query's text is changed: where a column of such texts is ordered by,
compared with a number, added or the like, its number takes its place (`data/sql/text_numbers.py`). A column that is
shown, joined or grouped by stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from normlab.data.sql.text_numbers import NumberForm

FormOf = Callable[[str, str], NumberForm | None]
"""(table, column), without quotes -> how its texts are read as numbers, None for any other column."""

_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\w+\.(?:\w+|"(?:[^"]|"")*")|\d+\.\d+|\w+|[<>!=]=|<>|\|\||\S""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?|'-?\d+(?:\.\d+)?'")  # beside a number, SQLite takes '32' for one
_SIGNS = frozenset(("<", ">", "<=", ">=", "=", "!=", "<>"))
_BY_SIZE = frozenset(("<", ">", "<=", ">=", "between"))
_AGGREGATES = frozenset(("sum", "avg", "min", "max"))
_ARITHMETIC = frozenset("+-*/")
_CLAUSES = frozenset(("select", "from", "where", "group", "having", "order", "limit", "on"))
_SET_OPERATIONS = frozenset(("union", "intersect", "except"))


@dataclass(frozen=True)
class Use:
    """A column where its size counts.

    Attributes:
        table, column: their names, without quotes.
        how: "added", "compared", or "sorted", which max and min do too.
        start, end: of the column in the query's text.
        number: what it is compared with by size, a number or "an average or a sum"; "" for anything else.
        next: where the word behind the column ends, for one that is sorted up.
        title: the aggregate that is shown of it, "" for other uses; it ends one sign behind the column.
    """

    table: str
    column: str
    how: str
    start: int
    end: int
    number: str = ""
    next: int = 0
    title: str = ""


def with_numbers(sql: str, form_of: FormOf) -> tuple[str, tuple[Use, ...]]:
    """Return the query with numbers in place of their texts, and the columns that are read so.

    Without a value are cells such as 'n/a': where the smallest number comes first, they come last.
    """
    changed: list[Use] = []
    for use in reversed(list(sizes_used(sql))):
        form = form_of(use.table, use.column)
        if form is None:
            continue
        if use.next and form.blanks:
            sql = f"{sql[: use.next]} NULLS LAST{sql[use.next :]}"
        column, rest = sql[use.start : use.end], sql[use.end :]
        if use.title:
            title = use.title.replace('"', "")
            rest = f'{rest[:1]} AS "{title}"{rest[1:]}'
        sql = sql[: use.start] + form.number_of(column) + rest
        changed.append(use)
    return sql, tuple(reversed(changed))


def sizes_used(sql: str) -> Iterator[Use]:
    """Yield the columns of which a query uses the size, in the order of the text.

    A query that is no plain text of the grammar's (`grammar/linearize.py`) may use more of them than are found.
    """
    tokens = list(_TOKEN.finditer(sql))
    words = [token.group().lower() for token in tokens]
    scopes = _scopes(words)
    texts = [token.group() for token in tokens]
    aliases, tables = _sources(texts, words, scopes)
    clause: dict[int, str] = {}
    for place, word in enumerate(words):
        scope = scopes[place]
        if word in _CLAUSES:
            clause[scope] = word
        how = _use_at(place, words, clause.get(scope, ""))
        if not how:
            continue
        alias, column = _parts(texts[place])
        own = tables.get(scope, [])
        table = aliases.get(alias.lower(), "") if alias else own[0] if len(own) == 1 else ""
        if table:
            up = how == "sorted" and words[place + 1 : place + 2] == ["asc"]
            after = tokens[place + 1].end() if up else 0
            number = _number_at(place, words) if how == "compared" else ""
            start, end = tokens[place].span()
            title = ""
            if clause[scope] == "select" and not scope and words[place - 2] in _AGGREGATES:
                title = sql[tokens[place - 2].start() : end + 1]
            yield Use(table, column, how, start, end, number, after, title)


def _use_at(place: int, words: Sequence[str], clause: str) -> str:
    """How the size of what stands at a place counts; "" where it does not, or where no column stands."""
    word = words[place]
    if not re.match(r'[\w"]', word) or _NUMBER.fullmatch(word) or word in _KEYWORDS:
        return ""
    before, after = (words[place - 1] if place else ""), words[place + 1] if place + 1 < len(words) else ""
    if after == "(":
        return ""
    opened = place - 2 if before == "distinct" else place - 1
    if after == ")" and words[opened : opened + 1] == ["("] and opened:
        function = words[opened - 1]
        return "" if function not in _AGGREGATES else "added" if function in ("sum", "avg") else "sorted"
    if before in _ARITHMETIC or (after in _ARITHMETIC and words[place + 2 : place + 3] != ["from"]):
        return "added"
    if clause == "order" and before in ("by", ","):
        return "sorted"
    if clause in ("where", "having", "on"):
        return _compared(place, words)
    return ""


def _number_at(place: int, words: Sequence[str]) -> str:
    """What number the column at a place is compared with by size, "" for none."""
    after = _behind(place, words)
    if not after[1:] or after[0] not in _BY_SIZE:
        return ""
    computed = after[1:3] == ["(", "select"] and after[3:] and after[3] in ("avg", "sum")
    return "an average or a sum" if computed else after[1] if _NUMBER.fullmatch(after[1]) else ""


def _behind(place: int, words: Sequence[str]) -> list[str]:
    """A comparison and what it compares with; NOT, and the minus of a number, are left out."""
    after = [word for word in words[place + 1 : place + 6] if word != "not"]
    return [*after[:1], *after[2:]] if after[1:2] == ["-"] else after


def _compared(place: int, words: Sequence[str]) -> str:
    """Whether a column is compared with a number: one of the query, one that it computes, or another column's."""
    after = _behind(place, words)
    before = words[place - 1] if place else ""
    if after[:1] and after[0] in _SIGNS | {"between"}:
        other = after[1:4]
        if other[:2] == ["(", "select"]:
            return "compared" if other[2:] and other[2] in _AGGREGATES else ""
        if other and _NUMBER.fullmatch(other[0]):
            return "compared"
        return "compared" if after[0] in _BY_SIZE and other and re.match(r'[a-z_"]', other[0]) else ""
    return "compared" if before in _BY_SIZE and place > 1 and re.match(r'[a-z_"]', words[place - 2]) else ""


def _scopes(words: Sequence[str]) -> list[int]:
    """The number of the SELECT that each word belongs to."""
    scopes, here, last, opened = [], 0, 0, []
    for place, word in enumerate(words):
        if word == "(":
            opened.append(here)
            if words[place + 1 : place + 2] == ["select"]:
                last += 1
                here = last
        scopes.append(here)
        if word == ")" and opened:
            here = opened.pop()
        elif word in _SET_OPERATIONS:
            last += 1
            here = last
    return scopes


def _sources(
    texts: Sequence[str], words: Sequence[str], scopes: Sequence[int]
) -> tuple[dict[str, str], dict[int, list[str]]]:
    """Each alias's table, which is one in the whole text, and the tables of each SELECT."""
    aliases: dict[str, str] = {}
    tables: dict[int, list[str]] = {}
    for place, word in enumerate(words[:-1]):
        if word not in ("from", "join") or words[place + 1] == "(":
            continue
        name = _unquoted(texts[place + 1])
        tables.setdefault(scopes[place], []).append(name)
        aliases[name.lower()] = name
        after = place + 2
        if words[after : after + 1] == ["as"] and place + 3 < len(words):
            aliases[words[place + 3]] = name
            after += 2
        if words[after : after + 1] == [","]:  # more tables, without a JOIN: whose a column is, is not plain
            tables[scopes[place]].append("")
    return aliases, tables


def _parts(text: str) -> tuple[str, str]:
    """The alias of a column, "" without one, and its name."""
    alias, point, column = text.partition(".") if not text.startswith('"') else ("", "", text)
    return (alias, _unquoted(column)) if point else ("", _unquoted(text))


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "select distinct from where group by having order limit asc desc and or not in like between is null as join on "
        "union intersect except count sum avg min max nulls last cast case when then else end",
    )
)
