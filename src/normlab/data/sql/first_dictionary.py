"""A data dictionary to fill in: a database's own tables and columns, and the texts of columns that hold few."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from normlab.data.sql.schema import Schema
from normlab.data.sql.sqlite import QueryError, run_query
from normlab.data.sql.sqlite_schema import quoted
from normlab.yaml_file import dump_yaml

_MOST_VALUES, _LONGEST = 12, 40  # of a column that is listed; one with more, or longer texts, holds names, not codes
_LOOKED_AT = 10_000  # rows that are read for that


def first_dictionary(schema: Schema, database: Path | None = None) -> str:
    """Return a dictionary without synonyms, to be filled in, as YAML.

    Args:
        database: the file, of which columns with few distinct texts are listed; None to read no cell.
    """
    content = {
        table.name: {
            "description": "",
            "synonyms": [],
            "columns": {
                schema.columns[number].name: _first_column(schema, number, database)
                for number in schema.columns_of(place)
            },
        }
        for place, table in enumerate(schema.tables)
    }
    return _HEADER + dump_yaml(content)


_HEADER = """\
# What people call the tables, columns and values of this database, for `normlab ask`.
# Synonyms name them as their own names do; words of a description as parts of a name do. Delete what you do not need.
# Questions whose SQL you know stand in a list of their own:
# examples:
# - question: How many are there?
#   sql: SELECT count(*) FROM t
"""


def _first_column(schema: Schema, number: int, database: Path | None) -> dict[str, Any]:
    listed = list(_few_values(schema, number, database)) if database else []
    return {"synonyms": [], "description": "", **({"values": {text: [] for text in listed}} if listed else {})}


def _few_values(schema: Schema, number: int, database: Path) -> Iterator[str]:
    column = schema.columns[number]
    if column.type != "text":
        return
    name, table = f"t.{quoted(column.name)}", quoted(schema.tables[column.table].name)
    rows = f"SELECT {name} AS c FROM {table} AS t LIMIT {_LOOKED_AT}"
    sql = f"SELECT DISTINCT c FROM ({rows}) WHERE typeof(c) = 'text' LIMIT {_MOST_VALUES + 1}"
    try:
        found = [row[0] for row in run_query(database, sql).rows]
    except QueryError:  # a view that does not run: it has no values to list
        return
    if len(found) <= _MOST_VALUES and all(len(text) <= _LONGEST and text.isprintable() for text in found):
        yield from sorted(found)
