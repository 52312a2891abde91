"""A linked question as arrays: words, links, candidates for constants, and the relations of all nodes."""

from __future__ import annotations

import numpy as np

from normlab.data.sql.schema import Schema
from normlab.data.text.vocabulary import Vocabulary
from normlab.tasks.text2sql.inputs.encoding import Item, SchemaCodes
from normlab.tasks.text2sql.linking.linker import Linked
from normlab.tasks.text2sql.linking.relations import relation_ids
from normlab.tasks.text2sql.linking.values import KINDS


def item_of(linked: Linked, db: int, codes: SchemaCodes, schema: Schema, vocabulary: Vocabulary) -> Item:
    """Return a question without gold and without its words as `Linked`.

    Args:
        linked: what its words name in the schema.
        db: the database's number.
        codes, schema: the database's.
        vocabulary: of its words.
    """
    values = linked.values
    Q, T = linked.table_links.shape
    names = np.concatenate([linked.table_links, linked.column_links], 1)
    cells = np.concatenate([np.zeros((Q, T), dtype=bool), linked.cell_links], 1)
    word_links = [links.max(1, initial=0) for links in (linked.table_links, linked.column_links, linked.cell_links)]
    first = [value.columns[0] if value.columns else -1 for value in values]
    return Item(
        db=db,
        text=linked.words,
        words=np.array(vocabulary.ids(linked.words), dtype=np.int64),
        word_links=np.stack(word_links, 1).astype(np.int64),
        item_links=np.stack([names.max(0, initial=0), cells.max(0, initial=False)], 1).astype(np.int64),
        values=tuple(value.sql for value in values),
        value_spans=np.array([(value.start, value.end) for value in values], dtype=np.int64).reshape(-1, 2),
        value_kinds=np.array([KINDS.index(value.kind) for value in values], dtype=np.int64),
        value_items=np.array([-1 if column < 0 else T + column for column in first], dtype=np.int64),
        relations=_items_first(relation_ids(linked, schema), Q, len(codes), len(values)),
        gold=None,
        linked=None,
    )


def _items_first(relations: np.ndarray, words: int, items: int, values: int) -> np.ndarray:
    """Reorder nodes from words, items, values to items, values, words."""
    order = np.concatenate([np.arange(words, words + items + values), np.arange(words)])
    return np.ascontiguousarray(relations[np.ix_(order, order)])
