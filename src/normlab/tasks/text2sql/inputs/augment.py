"""Which of a schema's tables training shows in an epoch, and in which order: a function of (seed, epoch, question).

A model that always sees a schema in one order, and all of it, may learn places instead of names (BRIDGE, Lin, Socher &
Xiong 2020, shuffle at every step and drop a table with probability 0.3).
"""

from __future__ import annotations

import numpy as np

from normlab.data.sql.schema import Schema
from normlab.data.streams import words as random_words
from normlab.tasks.text2sql.grammar.actions import WORDS
from normlab.tasks.text2sql.inputs.encoding import Item


def shown_items(
    item: Item, schema: Schema, *, shuffle: bool, drop: float, seed: int, epoch: int, row: int
) -> np.ndarray:
    """Return the numbers of the schema's items to show, tables first, then `*`, then columns by table.

    Args:
        item: a training question with its gold actions.
        schema: its schema.
        shuffle: put the tables in a random order, and each one's columns.
        drop: probability of leaving out one table that gold does not name.
        seed, epoch, row: what the draws depend on.
    """
    tables, columns = len(schema.tables), len(schema.columns)
    if not shuffle and not drop:
        return np.arange(tables + columns)
    draws = random_words(2 + tables + columns, seed, "tables", epoch, row)
    shown = np.arange(tables)
    spare = np.setdiff1d(shown, _needed(item, schema))
    if len(spare) and tables > 1 and int(draws[0]) / 2.0**64 < drop:
        shown = np.delete(shown, spare[int(draws[1]) % len(spare)])
    if shuffle:
        shown = shown[np.argsort(draws[2 + shown], kind="stable")]
    owner = np.array([column.table for column in schema.columns])
    order = [np.flatnonzero(owner == table) for table in shown]
    if shuffle:
        order = [own[np.argsort(draws[2 + tables + own], kind="stable")] for own in order]
    return np.concatenate([shown, [tables], *(tables + own for own in order)]).astype(np.int64)


def _needed(item: Item, schema: Schema) -> np.ndarray:
    assert item.gold is not None
    places = item.gold.actions - len(WORDS)
    tables, columns = len(schema.tables), len(schema.columns)
    named = places[(places >= 0) & (places < tables)]
    used = places[(places >= tables) & (places < tables + columns)] - tables
    return np.union1d(named, [schema.columns[column].table for column in used])
