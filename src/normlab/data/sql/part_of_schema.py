"""Some tables of a schema as a schema of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from normlab.data.sql.schema import Schema


def part_of(schema: Schema, tables: Sequence[int]) -> tuple[Schema, np.ndarray]:
    """Return a schema of some tables, and the numbers that its columns have in the whole one, `*` included.

    Keys to other tables go. The name, what was left out, and whether keys were looked for stay.

    Args:
        tables: numbers of the tables to keep, in the order to keep them in.
    """
    place = {table: index for index, table in enumerate(tables)}
    kept = [0, *(number for number, column in enumerate(schema.columns) if column.table in place)]
    kept[1:] = sorted(kept[1:], key=lambda number: (place[schema.columns[number].table], number))
    new = {number: index for index, number in enumerate(kept)}

    def moved(pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
        return tuple((new[a], new[b]) for a, b in pairs if a in new and b in new)

    columns = [schema.columns[0], *(schema.columns[number] for number in kept[1:])]
    part = replace(
        schema,
        tables=tuple(schema.tables[table] for table in tables),
        columns=tuple(replace(c, table=place[c.table]) if c.table >= 0 else c for c in columns),
        primary_keys=tuple(new[key] for key in schema.primary_keys if key in new),
        foreign_keys=moved(schema.foreign_keys),
        inferred_keys=None if schema.inferred_keys is None else moved(schema.inferred_keys),
    )
    return part, np.array(kept, dtype=np.intp)
