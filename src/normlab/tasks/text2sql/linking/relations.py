"""How each pair of nodes is related: question words, tables, columns and value candidates, in this order.

The relations of RAT-SQL (Wang et al. 2020, section 4.2 and table 1): distance between words, keys and tables of
columns, and what a word names in the schema; and two for the values, which stand in words and are cells of columns.
Every relation has a reverse: `relation_ids(...).T == REVERSE[relation_ids(...)]`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from normlab.data.sql.schema import Schema
from normlab.tasks.text2sql.linking.linker import MATCHES, STEM, Linked

_SYMMETRIC = ("none", "word 0", "table same", "table other", "table both", "column same", "column other")
_PAIRS = (
    ("word +1", "word -1"),
    ("word +2", "word -2"),
    *((f"word-table {kind}", f"table-word {kind}") for kind in MATCHES),
    *((f"word-column {kind}", f"column-word {kind}") for kind in (*MATCHES, "cell")),
    ("table refers", "table referred"),
    ("column refers", "column referred"),
    *((f"table-column {kind}", f"column-table {kind}") for kind in ("other", "own", "key", "referring", "star")),
    *((f"word-value {kind}", f"value-word {kind}") for kind in ("other", "inside")),
    *((f"table-value {kind}", f"value-table {kind}") for kind in ("other", "holds")),
    *((f"column-value {kind}", f"value-column {kind}") for kind in ("other", "holds")),
)
RELATIONS: tuple[str, ...] = (
    *_SYMMETRIC,
    "column same table",
    "value same",
    "value other",
    *(name for pair in _PAIRS for name in pair),
)
"""Names of the relations, by their numbers; 0 is for padding."""

_NUMBER = {name: number for number, name in enumerate(RELATIONS)}
REVERSE: npt.NDArray[np.uint8] = np.arange(len(RELATIONS), dtype=np.uint8)
"""The relation of j to i, for the relation of i to j."""
for _forward, _back in _PAIRS:
    REVERSE[[_NUMBER[_forward], _NUMBER[_back]]] = _NUMBER[_back], _NUMBER[_forward]
REVERSE.flags.writeable = False


def relation_ids(linked: Linked, schema: Schema) -> npt.NDArray[np.uint8]:
    """Return the relation of every node i to every node j, uint8 (N, N): numbers of `RELATIONS`.

    The Q words come first, then T tables, C columns (`*` is column 0) and V values: N = Q + T + C + V. A word that
    names a column in part, or not at all, and a cell of it, counts as naming the cell.
    """
    words, tables, columns = len(linked.words), len(schema.tables), len(schema.columns)
    first = np.cumsum([0, words, tables, columns, len(linked.values)])
    Q, T, C, V = (slice(first[part], first[part + 1]) for part in range(4))
    ids = np.zeros((first[-1], first[-1]), dtype=np.uint8)

    ids[Q, Q] = _DISTANCES[np.clip(np.arange(words) - np.arange(words)[:, None], -2, 2) + 2]
    ids[Q, T] = _WORD_TABLE[linked.table_links]
    named = np.where(linked.cell_links & (linked.column_links < STEM), len(MATCHES), linked.column_links)
    ids[Q, C] = _WORD_COLUMN[named]
    ids[T.start : C.stop, T.start : C.stop] = _schema_relations(schema)

    inside = np.zeros((words, len(linked.values)), dtype=np.intp)
    holding = np.zeros((columns, len(linked.values)), dtype=np.intp)
    tables_holding = np.zeros((tables, len(linked.values)), dtype=np.intp)
    for index, value in enumerate(linked.values):
        inside[value.start : value.end, index] = 1
        holding[list(value.columns), index] = 1
        tables_holding[[schema.columns[column].table for column in value.columns], index] = 1
    ids[Q, V] = _WORD_VALUE[inside]
    ids[T, V] = _TABLE_VALUE[tables_holding]
    ids[C, V] = _COLUMN_VALUE[holding]
    ids[V, V] = _NUMBER["value other"]
    np.fill_diagonal(ids[V, V], _NUMBER["value same"])

    for later, earlier in ((T, Q), (C, Q), (V, Q), (V, T), (V, C)):
        ids[later, earlier] = REVERSE[ids[earlier, later].T]
    return ids


def _numbers(*names: str) -> npt.NDArray[np.uint8]:
    return np.array([_NUMBER[name] for name in names], dtype=np.uint8)


_DISTANCES = _numbers("word -2", "word -1", "word 0", "word +1", "word +2")
_WORD_TABLE = _numbers(*(f"word-table {kind}" for kind in MATCHES))
_WORD_COLUMN = _numbers(*(f"word-column {kind}" for kind in (*MATCHES, "cell")))
_WORD_VALUE = _numbers("word-value other", "word-value inside")
_TABLE_VALUE = _numbers("table-value other", "table-value holds")
_COLUMN_VALUE = _numbers("column-value other", "column-value holds")


@lru_cache(maxsize=256)
def _schema_relations(schema: Schema) -> npt.NDArray[np.uint8]:
    """Relations among tables and columns, (T + C, T + C): the same for every question."""
    tables = len(schema.tables)
    T, C = slice(0, tables), slice(tables, tables + len(schema.columns))
    owner = np.array([column.table for column in schema.columns], dtype=np.intp)
    links = [(a, b) for a, b in schema.foreign_keys if a != b and owner[a] >= 0 and owner[b] >= 0]
    ids = np.zeros((C.stop, C.stop), dtype=np.uint8)

    among = np.full((len(owner), len(owner)), _NUMBER["column other"], dtype=np.uint8)
    among[(owner[:, None] == owner) & (owner >= 0)] = _NUMBER["column same table"]
    np.fill_diagonal(among, _NUMBER["column same"])
    for a, b in links:
        among[a, b], among[b, a] = _NUMBER["column refers"], _NUMBER["column referred"]
    ids[C, C] = among

    refers = np.zeros((tables, tables), dtype=bool)
    across = np.full((tables, len(owner)), _NUMBER["table-column other"], dtype=np.uint8)
    for a, b in links:
        refers[owner[a], owner[b]] = True
        across[owner[b], a] = _NUMBER["table-column referring"]
    kinds = _numbers("table other", "table refers", "table referred", "table both")
    ids[T, T] = kinds[refers + 2 * refers.T.astype(np.intp)]
    np.fill_diagonal(ids[T, T], _NUMBER["table same"])

    for column, table in enumerate(owner):
        if table < 0:
            across[:, column] = _NUMBER["table-column star"]
        else:
            across[table, column] = _NUMBER["table-column key" if column in schema.primary_keys else "table-column own"]
    ids[T, C] = across
    ids[C, T] = REVERSE[across.T]
    ids.flags.writeable = False
    return ids
