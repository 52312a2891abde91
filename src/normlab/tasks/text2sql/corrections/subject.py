"""What the question asks for, as columns: "which team" is its name, not all of its columns, nor its number."""

from __future__ import annotations

from dataclasses import replace

from normlab.data.text.word_forms import stem, words_of
from normlab.tasks.text2sql.corrections.clauses import Clauses, Unit, bare_column, column_unit, is_aggregate
from normlab.tasks.text2sql.corrections.evidence import WHOLE_ROWS, Evidence

_STAR = 0


def shown_by_name(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Show the names of what is asked for, where a query shows whole rows or a column that no word asks for."""
    wanted = evidence.wanted
    if wanted is None or wanted.by == "how many":
        return None
    if any(map(is_aggregate, clauses.select)):
        return _rows_compared(clauses, evidence)
    if (full := _full_names(clauses, evidence)) is not None:
        return full
    if any(word in WHOLE_ROWS for word in evidence.words):
        return None
    columns = [bare_column(unit) for unit in clauses.select]
    if None in columns:
        return None
    if wanted.columns:
        return _asked_columns(clauses, evidence, [int(c) for c in columns if c is not None])
    table = _asked_table(clauses, evidence)
    if table is None:
        return None
    label = evidence.label(table)
    shown = set(label) & set(columns)
    if not label or len(shown) == len(label) or (shown and len(columns) > len(shown)):
        return None
    if columns != [_STAR] and (len(columns) > 1 or any(c and evidence.asked(c) for c in columns)):
        return None
    tables = evidence.way(clauses.tables, table)
    if tables is None:
        return None
    added = len(tables) > len(clauses.tables)
    select = tuple(map(column_unit, label))
    if clauses.group and not _is_of(clauses, table, evidence, added=added):
        return None
    return replace(clauses, tables=tables, select=select, distinct=clauses.distinct or (added and not clauses.group))


def _rows_compared(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Names in place of a mean that rows are compared with: "which employees earn more than the average"."""
    wanted = evidence.wanted
    if wanted is None or wanted.by not in ("which", "who") or len(wanted.tables) != 1 or wanted.columns:
        return None
    [table] = wanted.tables
    label = evidence.label(table)
    if not clauses.nests or clauses.group or clauses.tables != (table,) or not label or "than" not in evidence.words:
        return None
    before = evidence.words[: evidence.words.index("than")]
    return None if {*before} & _MEANS else replace(clauses, select=tuple(map(column_unit, label)))


_MEANS = frozenset(("average", "mean", "total", "sum", "maximum", "minimum", "highest", "lowest"))


def _is_of(clauses: Clauses, table: int, evidence: Evidence, *, added: bool) -> bool:
    """Whether each group of a query is one row of a table: by a key to it, or by a column of its own."""
    group = bare_column(clauses.group[0]) if len(clauses.group) == 1 else None
    keys = {child for child, parent in evidence.schema.foreign_keys if evidence.schema.columns[parent].table == table}
    own = group is not None and evidence.schema.columns[group].table == table and group not in evidence.foreign
    return group in keys or (own and not added)


def _full_names(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """First and last name where names are asked for and the query shows one of the two."""
    if not evidence.says("name", "names") or evidence.says(*_PARTS_OF_NAMES):
        return None
    shown = [bare_column(unit) for unit in clauses.select]
    select: list[Unit] = []
    for unit, column in zip(clauses.select, shown, strict=True):
        label = evidence.label(evidence.schema.columns[column].table) if column else ()
        both = len(label) == 2 and column in label and not {*label} <= {*shown}
        select += map(column_unit, label) if both else [unit]
    return replace(clauses, select=tuple(select)) if len(select) > len(shown) else None


_PARTS_OF_NAMES = ("first", "last", "surname", "surnames", "forename", "forenames", "family", "given", "middle", "nick")


def _asked_table(clauses: Clauses, evidence: Evidence) -> int | None:
    wanted = evidence.wanted
    assert wanted is not None
    if len(wanted.tables) == 1:
        return wanted.tables[0]
    if wanted.by == "who" and not wanted.tables and wanted.start < len(evidence.words):
        doers = [table for table in range(len(evidence.schema.tables)) if _does(table, evidence)]
        if len(doers) == 1 and evidence.way(clauses.tables, doers[0]):
            return doers[0]
    if wanted.by == "who" and not wanted.tables and evidence.words[wanted.start : wanted.start + 1] in _ARE:
        people = [table for table in range(len(evidence.schema.tables)) if len(evidence.label(table)) == 2]
        if len(people) == 1 and evidence.way(clauses.tables, people[0]):
            return people[0]
    if not wanted.tables:
        said = [
            v for v in evidence.linked.values if v.kind == "cell" and wanted.start <= v.start and v.end <= wanted.end
        ]
        cells = {column for value in said for column in value.columns}
        named = {evidence.schema.columns[c].table for c in cells} & {*clauses.tables}
        if len(named) == 1 and not _shows_things_of(named, clauses, evidence):  # "all managers", rows of employees
            return named.pop()
    if (
        not wanted.tables
        and len(clauses.tables) == 1
        and (wanted.by == "who" or clauses.select == (column_unit(_STAR),))
    ):
        return clauses.tables[0]
    return None


def _shows_things_of(kinds: set[int], clauses: Clauses, evidence: Evidence) -> bool:
    """Whether a query shows what refers to a table: "the cheapest toy" is a product, not a category."""
    columns = [bare_column(unit) for unit in clauses.select]
    shown = {evidence.schema.columns[column].table for column in columns if column}
    return any(parent in kinds for table in shown for _, _, parent in evidence.parents(table))


def _does(table: int, evidence: Evidence) -> bool:
    """Whether the rows of a table are those who do what the verb behind "who" says: directors, who "directed"."""
    wanted = evidence.wanted
    names = [stem(word) for word in words_of(evidence.schema.tables[table].natural)]
    verb = stem(evidence.words[wanted.start]) if wanted else ""
    return len(verb) > 3 and any(name in (f"{verb}er", f"{verb}or") for name in names[-1:])


_ARE = (("works",), ("work",), ("lives",), ("live",), ("belongs",), ("belong",))


def _asked_columns(clauses: Clauses, evidence: Evidence, shown: list[int]) -> Clauses | None:
    """The columns asked for, in the place of `*` or of one that no word names."""
    wanted = evidence.wanted
    assert wanted is not None
    asked = [c for c in wanted.columns if evidence.schema.columns[c].table in clauses.tables]
    if not asked or set(asked) & set(shown) or len({evidence.schema.columns[c].name for c in asked}) < len(asked):
        return None
    if shown != [_STAR] and any(c and evidence.named(c) for c in shown):
        return None
    return replace(clauses, select=tuple(map(column_unit, asked)))


def each_once(clauses: Clauses, evidence: Evidence) -> Clauses | None:
    """Show each row of what is asked for once, where a join repeats it: "workers who had an accident"."""
    wanted = evidence.wanted
    if clauses.distinct or clauses.group or clauses.order or len(clauses.tables) < 2 or wanted is None:
        return None
    columns = [bare_column(unit) for unit in clauses.select]
    tables = {evidence.schema.columns[c].table for c in columns if c}
    if None in columns or _STAR in columns or len(tables) != 1:
        return None
    [table] = tables
    repeats = any(
        evidence.schema.columns[b].table == table and evidence.schema.columns[a].table in clauses.tables
        for a, b in evidence.schema.foreign_keys
    )
    return replace(clauses, distinct=True) if repeats else None
