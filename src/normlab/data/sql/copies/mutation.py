"""The rules by which a copy's rows differ from the database's: seeded, keys consistent.

Primary keys stay unique and foreign keys point to rows that are there. All other columns are free: rows are drawn
again, values change places, move, are replaced, meet the constants of queries or just miss them, and in some copies are
NULL.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from normlab.data.sql.copies.constants import Constants
from normlab.data.sql.copies.contents import Contents, Key, Row, Table, with_rows
from normlab.data.sql.copies.values import made_up, moved, near_constant

_MADE_UP_ROWS = 12  # of a table that has none
_MOST_ROWS = 250
_NULLS_IN = 0.3  # share of copies that have NULLs
_DENSITIES = (0.1, 0.3, 0.7)  # of constants: high ones let several conditions hold at once
_TRIES = 5  # for a key of several columns that is not taken


def mutated(contents: Contents, constants: Constants, rng: random.Random) -> dict[str, Table]:
    """Return a copy's tables, lower-case name -> table, those first to which others refer.

    Args:
        contents: of the database.
        constants: what queries compare columns with.
        rng: all choices come from it, so that equal seeds give equal copies.
    """
    nulls = rng.random() < _NULLS_IN
    density = rng.choice(_DENSITIES)
    done: dict[str, Table] = {}
    referred = {(key.target, column) for key in contents.keys for column in key.target_columns}
    for name in _parents_first(contents):
        table = contents.tables[name]
        keys = [key for key in contents.keys if key.table == name]
        refers = {table.number(column) for key in keys for column in key.columns}
        fixed = refers | {number for number, one in enumerate(table.columns) if (name, one.name.lower()) in referred}
        rows = _drawn(table, constants, rng)
        _change_columns(table, rows, fixed | set(table.primary), constants, rng, nulls=nulls, density=density)
        done[name] = with_rows(table, _with_keys(table, rows, keys, refers, done, rng))
    return done


def _parents_first(contents: Contents) -> Iterator[str]:
    """Tables in an order in which keys point backwards; of tables that refer to each other the first comes first."""
    left = dict.fromkeys(contents.tables)
    needs = {name: {key.target for key in contents.keys if key.table == name} - {name} for name in left}
    while left:
        name = next((one for one in left if not needs[one] & left.keys()), next(iter(left)))
        del left[name]
        yield name


def _drawn(table: Table, constants: Constants, rng: random.Random) -> list[Row]:
    """Rows drawn with repetition, with some left out, or as they are; made-up ones for a table without any."""
    rows = table.rows
    if not rows:
        return [[made_up(column, constants, rng) for column in table.columns] for _ in range(_MADE_UP_ROWS)]
    way = rng.random()
    if way < 0.5:
        size = max(2, min(_MOST_ROWS, int(len(rows) * rng.choice((0.5, 1.0, 1.5)))))
        chosen = [rng.choice(rows) for _ in range(size)]
    elif way < 0.75:
        chosen = [row for row in rows if rng.random() < 0.6] or rows[:1]
    else:
        chosen = list(rows)
    # A few rows appear twice, apart from their keys: what a missing DISTINCT or GROUP BY shows.
    chosen += [rng.choice(chosen) for _ in range(min(10, 1 + len(chosen) // 5))]
    return [list(row) for row in chosen]


def _change_columns(
    table: Table,
    rows: list[Row],
    fixed: set[int],
    constants: Constants,
    rng: random.Random,
    *,
    nulls: bool,
    density: float,
) -> None:
    for number, column in enumerate(table.columns):
        if number in fixed:
            continue
        others = [row[number] for row in table.rows if row[number] is not None]
        way = rng.random()
        if way < 0.35:
            values = [row[number] for row in rows]
            rng.shuffle(values)
            for row, value in zip(rows, values, strict=True):
                row[number] = value
        elif way < 0.7:
            for row in rows:
                if rng.random() < 0.5:
                    row[number] = moved(row[number], others, rng)
        elif way < 0.8 and others:  # few different values: equal ones in many rows
            few = rng.sample(others, min(len(others), 2))
            for row in rows:
                row[number] = rng.choice(few)
        known = constants.get(column.name.lower(), ())
        for row in rows:
            if known and rng.random() < density:
                row[number] = near_constant(rng.choice(known), column, rng)
            if nulls and column.nullable and rng.random() < 0.1:
                row[number] = None


def _with_keys(
    table: Table,
    rows: list[Row],
    keys: list[Key],
    refers: set[int],
    done: dict[str, Table],
    rng: random.Random,
) -> list[Row]:
    """The rows whose primary keys are unique, foreign keys pointing to rows of the tables that are done."""
    free = [number for number in table.primary if number not in refers]
    pools = {key: _pool(done[key.target], key) for key in keys if key.target in done}
    others = [row[number] for number in free for row in table.rows]
    kept: list[Row] = []
    taken: set[tuple[Any, ...]] = set()
    keep_places = rng.random() < 0.4  # keys stay as they are where that is possible
    for row in rows:
        for attempt in range(_TRIES):
            for key, pool in pools.items():
                _point(table, row, key, pool, rng, keep=keep_places and attempt == 0)
            for number in free[:1]:
                if tuple(row[n] for n in table.primary) in taken:
                    row[number] = _unused(row[number], others, len(taken) + attempt)
            own = tuple(row[number] for number in table.primary)
            if not own or own not in taken:
                taken.add(own)
                kept.append(row)
                break
    for key in keys:  # to the table itself, whose rows are known only now
        if key.target == key.table:
            pool = _pool(with_rows(table, kept), key)
            for row in kept:
                _point(table, row, key, pool, rng, keep=keep_places)
    return kept


def _pool(target: Table, key: Key) -> list[tuple[Any, ...]]:
    numbers = [target.number(column) for column in key.target_columns]
    values = (tuple(row[number] for number in numbers) for row in target.rows)
    return list(dict.fromkeys(value for value in values if None not in value))


def _point(table: Table, row: Row, key: Key, pool: list[tuple[Any, ...]], rng: random.Random, *, keep: bool) -> None:
    """Let a row refer to one of `pool`: the one that it does refer to if `keep`; NULL stays NULL."""
    numbers = [table.number(column) for column in key.columns]
    now = tuple(row[number] for number in numbers)
    if None in now or not pool:
        return
    if now not in pool or (not keep and rng.random() < 0.5):
        for number, value in zip(numbers, rng.choice(pool), strict=True):
            row[number] = value


def _unused(value: Any, others: list[Any], count: int) -> Any:
    """A key that no row of the database or the copy has, of the kind that the others are."""
    numbers = [other for other in others if isinstance(other, int | float)]
    if isinstance(value, str):
        longest = max((int(other) for other in others if isinstance(other, str) and other[:15].isdecimal()), default=0)
        return str(longest + 1 + count) if value.isdecimal() and len(value) < 16 else f"{value}_{count}"
    return int(max(numbers, default=0)) + 1 + count
