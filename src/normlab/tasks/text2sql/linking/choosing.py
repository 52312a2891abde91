"""Which tables of a large schema a question may be about: the model then reads those only.

What the model does with a schema costs its size squared, and training shows no more than 26 tables. So tables are
ranked by what the question's words name in them: table, columns, cells; a word that names something in few tables says
more. Tables on the way between the best ones, and neighbours by foreign keys, are kept too. A smaller schema is left
whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from normlab.data.sql.schema import Schema
from normlab.data.text.word_forms import is_word, words_of
from normlab.tasks.text2sql.linking.linker import NONE, PARTIAL, Linked
from normlab.tasks.text2sql.linking.stop_words import STOP_WORDS

MOST_TABLES, MOST_COLUMNS = 40, 400
"""Of a schema that is read whole; training's largest has 26 and 353."""
_RANKED = 26  # of the tables that are kept, those for their own sake; the others connect them
_JOINED = 6  # of the best, how many are connected with each other
_TABLE = np.array([0.0, 2.0, 2.8, 3.0])  # by kind of match: none, partial, stem, exact
_COLUMN = np.array([0.0, 0.7, 1.8, 2.0])
_CELL = 1.8


def is_large(schema: Schema) -> bool:
    """Tell whether a schema has more tables or columns than the model reads at once."""
    return len(schema.tables) > MOST_TABLES or len(schema.columns) > MOST_COLUMNS


class TableChooser:
    """Chooses tables of one schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._owner = np.array([max(column.table, 0) for column in schema.columns], dtype=np.intp)
        self._sizes = np.bincount(self._owner[1:], minlength=len(schema.tables))
        self._words = np.array([max(1, len(words_of(table.natural))) for table in schema.tables])
        self._near: list[list[int]] = [[] for _ in schema.tables]
        for a, b in schema.foreign_keys:
            first, second = schema.columns[a].table, schema.columns[b].table
            if first != second:
                self._near[first].append(second)
                self._near[second].append(first)

    def choose(self, linked: Linked) -> tuple[int, ...]:
        """Return the numbers of the tables to read, in the schema's order: one, or more within the limits."""
        scores = self.scores(linked)
        ranked = [int(table) for table in np.argsort(-scores, kind="stable") if scores[table] > 0]
        kept: dict[int, None] = {}
        columns = 1
        for table in self._wanted(ranked):
            if len(kept) == MOST_TABLES:
                break
            if table not in kept and (not kept or columns + self._sizes[table] <= MOST_COLUMNS):
                kept[table] = None
                columns += int(self._sizes[table])
        return tuple(sorted(kept))

    def scores(self, linked: Linked) -> npt.NDArray[np.float64]:
        """Return how much the question names of each table, (T,)."""
        telling = [index for index, word in enumerate(linked.words) if is_word(word) and word not in STOP_WORDS]
        kinds = linked.table_links[telling]
        parts = np.minimum((kinds == PARTIAL).sum(0) / self._words, 1.0)
        table = np.where(kinds == PARTIAL, _TABLE[PARTIAL] * parts, _TABLE[kinds])
        column = np.maximum(_COLUMN[linked.column_links[telling]], _CELL * linked.cell_links[telling])
        inside = np.zeros_like(table)
        for place in range(len(telling)):
            np.maximum.at(inside[place], self._owner[1:], column[place, 1:])
        named = table + inside
        spread = (named > NONE).sum(1, keepdims=True)
        rarity = np.log1p(len(self._schema.tables) / np.maximum(spread, 1))
        return (named * rarity).sum(0)

    def _wanted(self, ranked: list[int]) -> Iterator[int]:
        """All tables in the order of how much each is wanted."""
        best = ranked[:_JOINED]
        yield from best
        for first, second in combinations(best, 2):
            yield from self._way(first, second)
        yield from ranked[:_RANKED]
        for table in ranked[:_RANKED]:
            yield from self._near[table]
        yield from ranked
        yield from range(len(self._schema.tables))

    def _way(self, first: int, second: int) -> Iterable[int]:
        """The tables on a shortest way by foreign keys, of at most three between the two."""
        before: dict[int, int] = {first: first}
        waiting = deque([(first, 0)])
        while waiting:
            table, steps = waiting.popleft()
            if table == second:
                way = []
                while table != first:
                    table = before[table]
                    way.append(table)
                return way[:-1]
            for near in self._near[table] if steps < 4 else ():
                if near not in before:
                    before[near] = table
                    waiting.append((near, steps + 1))
        return ()


def linked_within(linked: Linked, tables: Iterable[int], columns: npt.NDArray[np.intp]) -> Linked:
    """Return the links to some tables and columns of the schema, numbered anew in their order."""
    place = {int(number): index for index, number in enumerate(columns)}
    values = (
        replace(value, columns=tuple(sorted(place[column] for column in value.columns if column in place)))
        for value in linked.values
    )
    return replace(
        linked,
        table_links=linked.table_links[:, list(tables)],
        column_links=linked.column_links[:, columns],
        cell_links=linked.cell_links[:, columns],
        values=tuple(values),
    )
