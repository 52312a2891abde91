"""What the words of a question name in a database, as people read it."""

from __future__ import annotations

import numpy as np

from normlab.apps.ask.answer import Link
from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.linking.linker import NONE, STEM, Linked


def links_of(linked: Linked, schema: Schema) -> list[Link]:
    """Return what each word names best: every table and column that matches as well as the best, and cells."""
    links = []
    for place, word in enumerate(linked.texts):
        tables, columns = linked.table_links[place], linked.column_links[place]
        best = max(tables.max(initial=NONE), columns.max(initial=NONE))
        if best > NONE:
            links += [Link(word, "table", schema.tables[n].name) for n in (tables == best).nonzero()[0]]
            links += [Link(word, "column", full_name(schema, n)) for n in (columns == best).nonzero()[0]]
        links += [Link(word, "cell", full_name(schema, n)) for n in linked.cell_links[place].nonzero()[0]]
    return links


def is_named(linked: Linked, schema: Schema, table: str, column: str) -> bool:
    """Tell whether a word of the question is a column's name, or of its stem."""
    named = np.flatnonzero((linked.column_links >= STEM).any(0))
    return f"{table}.{column}".lower() in {full_name(schema, int(number)).lower() for number in named}


def inferred_keys_of(schema: Schema) -> list[str]:
    """Return a line for each key that was inferred."""
    return [
        f"inferred key, not declared: {full_name(schema, child)} refers to {full_name(schema, parent)}"
        for child, parent in schema.inferred_keys or ()
    ]


def full_name(schema: Schema, number: int) -> str:
    """Return "table.column"."""
    column = schema.columns[number]
    return column.name if column.table < 0 else f"{schema.tables[column.table].name}.{column.name}"
