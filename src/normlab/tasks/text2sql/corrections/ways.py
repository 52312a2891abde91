"""The ways that keys lead from some tables to another one."""

from __future__ import annotations

from collections import defaultdict

from normlab.data.sql.schema import Schema

LONGEST = 3
"""Tables that a way may add."""


def shortest_ways(schema: Schema, tables: tuple[int, ...], target: int) -> list[tuple[int, ...]]:
    """Return the shortest ways from any of some tables to another one: the tables that each adds, the target last.

    They come in the order of the tables, then of the keys; [] where none is short enough, [()] if the target is there.
    """
    if target in tables:
        return [()]
    neighbours: defaultdict[int, dict[int, None]] = defaultdict(dict)
    for a, b in schema.foreign_keys:
        first, second = schema.columns[a].table, schema.columns[b].table
        neighbours[first][second] = neighbours[second][first] = None
    ways: list[tuple[int, ...]] = [(table,) for table in tables]
    for _ in range(LONGEST):
        ways = [(*way, other) for way in ways for other in neighbours[way[-1]] if other not in (*way, *tables)]
        found = [way[1:] for way in ways if way[-1] == target]
        if found:
            return list(dict.fromkeys(found))
    return []
