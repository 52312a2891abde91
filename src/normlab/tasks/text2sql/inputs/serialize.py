"""Question and schema as one sequence of word pieces for a pretrained encoder, and the pieces of every node.

    [CLS] words [SEP] * [SEP] table : column , column ( cell ) [SEP] table : ... [SEP]

Too long a sequence loses, in this order and only as far as needed: the cells; columns, keys last, and then tables
that no word names; other columns, the best named last; other tables; the end of the question. Nodes without
any piece are listed in `dropped`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from normlab.data.sql.schema import Schema
from normlab.errors import UserError
from normlab.plurals import plural
from normlab.tasks.text2sql.linking.linker import EXACT, NONE, Linked

LIMIT = 512
"""Word pieces that BERT has positions for."""
MAX_NODE_PIECES = 16
"""Pieces of one word, name or cell: what follows would only push others out."""
_CELLS_SHOWN = 2  # of one column


class PieceCoder(Protocol):
    """A tokenizer: the numbers of a text's word pieces, at least one, and of the three special ones."""

    cls: int
    sep: int
    pad: int

    def pieces(self, text: str) -> tuple[int, ...]:
        """Return the numbers of a text's pieces, without special ones."""


@dataclass(frozen=True, eq=False)
class Serialized:
    """A sequence of L word pieces, and where the N nodes (words, tables, columns, values) stand in it.

    Attributes:
        pieces: int64 (L,), numbers of word pieces.
        segments: int64 (L,), 0 in the question, 1 in the schema.
        starts, ends: int64 (N,), the pieces of a node, end not included; equal where it has none. A value has those
            of its question words; a constant that stands in no word has [CLS].
        dropped: the nodes that were left out because the sequence was too long.
    """

    pieces: npt.NDArray[np.int64]
    segments: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    dropped: tuple[int, ...]

    @cached_property
    def key(self) -> bytes:
        """A digest of all that a fixed encoder's node states depend on."""
        parts = (self.pieces, self.segments, self.starts, self.ends)
        return hashlib.sha256(b"".join(part.astype("<i8").tobytes() + b"|" for part in parts)).digest()


def serialize(
    linked: Linked,
    schema: Schema,
    coder: PieceCoder,
    *,
    limit: int = LIMIT,
    order: Sequence[int] | None = None,
) -> Serialized:
    """Write a question and its schema as word pieces.

    Args:
        linked: the question, linked to this schema.
        schema: the tables and columns.
        coder: the encoder's tokenizer.
        limit: most pieces, special ones included.
        order: the tables that are to stand there, in their order; by default all. The nodes keep their own order,
            and those of a table that is left out have no pieces.
    Raises: `UserError` if the limit leaves no room for any question; ValueError if `order` names a table twice or
        one that is not there.
    """
    if limit < 8:
        raise UserError(f"{limit} word pieces hold no question: allow at least 8")
    tables = list(range(len(schema.tables)) if order is None else order)
    if len(set(tables)) < len(tables) or not set(tables) <= set(range(len(schema.tables))):
        raise ValueError(f"order must name some of {plural(len(schema.tables), 'table')}, each once, got {tables}")
    return _Writer(linked, schema, coder, tables).write(limit)


class _Writer:
    """Pieces of every part, and which parts are kept.

    A column's cost is its pieces and the sign before it; a table's, its pieces and the [SEP] behind it.
    """

    def __init__(self, linked: Linked, schema: Schema, coder: PieceCoder, tables: list[int]) -> None:
        self._linked, self._schema, self._coder, self._order = linked, schema, coder, tables
        self._words = [self._cut(text) for text in linked.texts]
        self._tables = [self._cut(table.natural or table.name) for table in schema.tables]
        self._columns = [self._cut(column.natural or column.name) for column in schema.columns]
        self._kept_words = len(self._words)
        self._kept_tables = set(tables)
        self._kept_columns = {column for table in tables for column in schema.columns_of(table)}
        self._cells = self._shown_cells()

    def write(self, limit: int) -> Serialized:
        self._shorten(limit)
        pieces, starts, ends = self._lay_out()
        first = 2 + sum(map(len, self._words[: self._kept_words]))  # [CLS], the question, [SEP]
        segments = np.ones(len(pieces), dtype=np.int64)
        segments[:first] = 0
        dropped = np.flatnonzero(starts == ends)
        return Serialized(np.array(pieces, dtype=np.int64), segments, starts, ends, tuple(dropped.tolist()))

    def _cut(self, text: str) -> tuple[int, ...]:
        return self._coder.pieces(text)[:MAX_NODE_PIECES]

    def _shown_cells(self) -> dict[int, tuple[int, ...]]:
        """Column -> the pieces of `( cell , cell )` after its name."""
        texts: dict[int, list[str]] = {}
        for value in self._linked.values:
            for column in self._kept_columns.intersection(value.columns) if value.kind == "cell" else ():
                texts.setdefault(column, []).append(value.sql[1:-1].replace("''", "'"))
        opening, comma, closing = map(self._coder.pieces, "(,)")
        shown = {}
        for column, cells in texts.items():
            inside = [self._cut(cell) for cell in cells[:_CELLS_SHOWN]]
            joined = [piece for index, cell in enumerate(inside) for piece in ((*comma, *cell) if index else cell)]
            shown[column] = (*opening, *joined, *closing)
        return shown

    def _shorten(self, limit: int) -> None:
        """Drop the least needed parts until the sequence fits."""
        over = self._length() - limit
        for cost, drop in self._savings():
            if over <= 0:
                return
            drop()
            over -= cost

    def _length(self) -> int:
        cells = sum(map(len, self._cells.values()))
        names = sum(len(self._tables[table]) + 1 for table in self._order)
        columns = sum(len(self._columns[column]) + 1 for column in self._kept_columns)
        return 2 + sum(map(len, self._words)) + len(self._columns[0]) + 1 + names + columns + cells

    def _savings(self) -> Iterator[tuple[int, Callable[[], None]]]:
        """What can be dropped, least needed first: the pieces that it frees, and how."""
        yield sum(map(len, self._cells.values())), self._cells.clear
        linked = self._linked
        links = np.where(linked.cell_links, EXACT, linked.column_links)
        named = np.maximum.reduce(links, axis=0, initial=NONE).tolist()
        keys = {*self._schema.primary_keys, *(key for pair in self._schema.foreign_keys for key in pair)}
        shown = [column for table in self._order for column in self._schema.columns_of(table)]
        rank = {column: -at for at, column in enumerate(shown)}
        worst_first = sorted(shown, key=lambda column: (named[column], column in keys, rank[column]))
        named_tables = {self._schema.columns[column].table for column in shown if named[column]}
        named_tables |= set(np.flatnonzero(linked.table_links.any(0)).tolist())

        for column in (column for column in worst_first if not named[column]):
            yield self._dropping(self._kept_columns, column, self._columns)
        for table in (table for table in reversed(self._order) if table not in named_tables):
            yield self._dropping(self._kept_tables, table, self._tables)
        for column in (column for column in worst_first if named[column]):
            yield self._dropping(self._kept_columns, column, self._columns)
        for table in (table for table in reversed(self._order) if table in named_tables):
            yield self._dropping(self._kept_tables, table, self._tables)
        for word in reversed(self._words[1:]):
            yield len(word), self._drop_word
        yield len(self._words[0]) - 1, self._shorten_word

    @staticmethod
    def _dropping(numbers: set[int], number: int, names: list[tuple[int, ...]]) -> tuple[int, Callable[[], None]]:
        return len(names[number]) + 1, lambda: numbers.discard(number)

    def _drop_word(self) -> None:
        self._kept_words -= 1

    def _shorten_word(self) -> None:
        self._words[0] = self._words[0][:1]

    def _lay_out(self) -> tuple[list[int], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        linked, coder = self._linked, self._coder
        tables_at = len(linked.words)
        columns_at = tables_at + len(self._schema.tables)
        values_at = columns_at + len(self._schema.columns)
        starts = np.zeros(values_at + len(linked.values), dtype=np.int64)
        ends = np.zeros_like(starts)
        pieces = [coder.cls]

        def put(node: int, some: tuple[int, ...]) -> None:
            starts[node] = len(pieces)
            pieces.extend(some)
            ends[node] = len(pieces)

        for index, word in enumerate(self._words[: self._kept_words]):
            put(index, word)
        pieces.append(coder.sep)
        put(columns_at, self._columns[0])
        pieces.append(coder.sep)
        colon, comma = coder.pieces(":")[:1], coder.pieces(",")[:1]
        for table in (table for table in self._order if table in self._kept_tables):
            put(tables_at + table, self._tables[table])
            columns = [column for column in self._schema.columns_of(table) if column in self._kept_columns]
            for index, column in enumerate(columns):
                pieces.extend(comma if index else colon)
                put(columns_at + column, self._columns[column])
                pieces.extend(self._cells.get(column, ()))
            pieces.append(coder.sep)
        for index, value in enumerate(linked.values, start=values_at):
            end = min(value.end, self._kept_words)
            if value.start < end:
                starts[index], ends[index] = starts[value.start], ends[end - 1]
            elif not value.end:
                starts[index], ends[index] = 0, 1
        return pieces, starts, ends
