"""A reading that names tables without the one that joins them: orders and products without the items of the orders.

The tables between are added where the keys leave one shortest way, or one whose tables the question names. Of several
that fit alike none is taken: which one is meant changes the answer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.corrections.clauses import read_clauses
from normlab.tasks.text2sql.corrections.ways import shortest_ways
from normlab.tasks.text2sql.grammar.linearize import joined_without_key, to_sql
from normlab.tasks.text2sql.linking.linker import PARTIAL, Linked
from normlab.tasks.text2sql.model.decoding import Answer


def with_missing_tables(answer: Answer, linked: Linked, schema: Schema) -> Answer:
    """Return a refused answer as one that may be run, which says the tables that were added; any other as it is.

    Args:
        linked: what the question's words name, in the tables of `schema`.
    """
    clauses = read_clauses(answer.actions) if answer.refusal and answer.actions else None
    if clauses is None or len({*clauses.tables}) < len(clauses.tables):
        return answer
    named = {*map(int, np.flatnonzero((linked.table_links >= PARTIAL).any(0)))}
    tables: tuple[int, ...] = clauses.tables[:1]
    for table in clauses.tables[1:]:
        way = _way(tables, table, named, schema)
        if way is None:
            return answer
        tables = (*tables, *(one for one in way if one not in tables))
    actions = replace(clauses, tables=tables).actions()
    if joined_without_key(actions, schema):
        return answer
    added = tuple(schema.tables[table].name for table in tables if table not in clauses.tables)
    named_columns = linked.column_links.max(0, initial=0).astype(int).tolist()
    sql = to_sql(actions, schema, named_columns)
    return replace(answer, sql=sql, refusal="", actions=tuple(actions), added=added)


def _way(tables: tuple[int, ...], target: int, named: set[int], schema: Schema) -> tuple[int, ...] | None:
    """The one shortest way, or the one whose tables are named; None without a way, or where several are alike."""
    found = shortest_ways(schema, tables, target)
    chosen = found if len(found) == 1 else [way for way in found if {*way[:-1]} <= named]
    return chosen[0] if len(chosen) == 1 else None
