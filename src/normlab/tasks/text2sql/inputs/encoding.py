"""Questions, schemas and gold actions as numbers, and batches of them.

A schema's items are its tables, then its columns. What a pointer may name is numbered by items and values, each padded
on their own: `len(WORDS)` keywords, S places for items, V for values. A question's nodes are its items, its value
candidates and its words without gaps, padded once, because what all nodes cost together is most of the work.

Dimensions: B questions, Q words, S items, V value candidates, P = S + V pointers, N nodes, T actions, U names,
L words of a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from normlab.data.sql.schema import Schema
from normlab.data.text.vocabulary import Vocabulary
from normlab.tasks.text2sql.grammar.actions import BEGIN, UNKNOWN_VALUE, WORDS
from normlab.tasks.text2sql.inputs.serialize import Serialized
from normlab.tasks.text2sql.linking.linker import Linked

TYPES = ("table", "text", "number", "time", "boolean", "others", "*")
KEYS = ("none", "primary", "foreign", "both")
LINKS = 4  # kinds of match between a word and a name: none, partial, exact, and one to spare
CELL_LINKS = 4


class Gold(NamedTuple):
    """What the decoder should write, in the schema's own numbers.

    Attributes:
        actions: (T,) numbers; `UNKNOWN_VALUE` for a value that is not among the candidates.
        allowed: packed bits of (T, size), what the grammar allowed before each.
        size: keywords, items and values.
    """

    actions: np.ndarray
    allowed: np.ndarray
    size: int


@dataclass(frozen=True)
class Item:
    """One question as arrays.

    Attributes:
        db: number of its schema.
        words: (Q,) numbers in the vocabulary.
        word_links: (Q, 3) the strongest match with a table, a column, a cell.
        item_links: (S, 2) the strongest match with a name, with a cell.
        values: the candidates as SQL; `value_spans` (V, 2) their words, `value_kinds` (V,), `value_items` (V,) the
            column that holds each, -1 if none is known.
        relations: (N, N) kinds of relation among items, values and words, in this order, N of them in all.
        gold: None where there is none, or none that the grammar can write.
    """

    db: int
    text: tuple[str, ...]
    words: np.ndarray
    word_links: np.ndarray
    item_links: np.ndarray
    values: tuple[str, ...]
    value_spans: np.ndarray
    value_kinds: np.ndarray
    value_items: np.ndarray
    relations: np.ndarray
    gold: Gold | None
    linked: Linked | None = None  # kept where the question is written out for a pretrained encoder

    @property
    def steps(self) -> int:
        """Actions to write; 0 if there is no gold."""
        return 0 if self.gold is None else len(self.gold.actions)


@dataclass(frozen=True)
class SchemaCodes:
    """One schema as arrays over its items: row of the table of names, type, key, and its table's place."""

    names: np.ndarray
    types: np.ndarray
    keys: np.ndarray
    tables: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


class Names:
    """The distinct names of tables and columns, as words; grows with each schema."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._row: dict[str, int] = {}
        self.words: list[list[int]] = []

    def encode(self, schema: Schema) -> SchemaCodes:
        """Return a schema as arrays."""
        names = [*(table.natural for table in schema.tables), *(column.natural for column in schema.columns)]
        foreign = {column for pair in schema.foreign_keys for column in pair}
        primary = {*schema.primary_keys}
        keys = [(c in primary) + 2 * (c in foreign) for c in range(len(schema.columns))]
        kinds = [TYPES.index(c.type) if c.type in TYPES else TYPES.index("others") for c in schema.columns]
        tables, table_of_column = len(schema.tables), [max(column.table, 0) for column in schema.columns]
        return SchemaCodes(
            names=np.array([self._number(name) for name in names], dtype=np.int64),
            types=np.array([*([0] * tables), TYPES.index("*"), *kinds[1:]], dtype=np.int64),
            keys=np.array([*([0] * tables), *keys], dtype=np.int64),
            tables=np.array([*range(tables), *table_of_column], dtype=np.int64),
        )

    def _number(self, name: str) -> int:
        row = self._row.setdefault(name, len(self._row))
        if row == len(self.words):
            self.words.append(self._vocabulary.ids(name.lower().split() or ["*"]))
        return row


class Batch(NamedTuple):
    """Some questions, padded on the right.

    Attributes:
        words (B, Q), lengths (B,), word_links (B, Q, 3): the questions.
        names (U, L), name_lengths (U,): distinct names of this batch.
        item_names (B, S): rows of `names`; item_types, item_keys, item_tables (B, S), item_links (B, S, 2).
        item_mask (B, S), value_mask (B, V): True where there is one.
        value_spans (B, V, 2), value_kinds (B, V), value_items (B, V).
        node_parts: (B, N) where each node stands in [S items, V values, Q words]; node_lengths (B,).
        pointer_nodes: (B, P) which node each pointer names, 0 in padding.
        relations: (B, N, N) uint8.
        linked_nodes: (B, N) each node's place among words, tables, columns, values, -1 in padding.
        texts: for a pretrained encoder, the questions and schemas as word pieces, else ().
        inputs, targets: (B, T), the action before and the action to choose; `counted` (B, T), True where it is real
            and known; `allowed` (B, T, len(WORDS) + S + V). None where there is no gold.
    """

    words: Tensor
    lengths: Tensor
    word_links: Tensor
    names: Tensor
    name_lengths: Tensor
    item_names: Tensor
    item_types: Tensor
    item_keys: Tensor
    item_tables: Tensor
    item_links: Tensor
    item_mask: Tensor
    value_mask: Tensor
    value_spans: Tensor
    value_kinds: Tensor
    value_items: Tensor
    node_parts: Tensor
    node_lengths: Tensor
    pointer_nodes: Tensor
    relations: Tensor
    linked_nodes: Tensor
    texts: tuple[Serialized, ...]
    inputs: Tensor | None
    targets: Tensor | None
    counted: Tensor | None
    allowed: Tensor | None

    @property
    def word_mask(self) -> Tensor:
        """(B, Q), True where there is a word."""
        return torch.arange(self.words.shape[1], device=self.lengths.device) < self.lengths[:, None]

    @property
    def node_mask(self) -> Tensor:
        """(B, N), True where there is a node."""
        return torch.arange(self.node_parts.shape[1], device=self.lengths.device) < self.node_lengths[:, None]

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        moved = (part.to(device, non_blocking=True) if isinstance(part, Tensor) else part for part in self)
        return Batch(*moved)  # type: ignore[arg-type]


def collate(
    items: Sequence[Item],
    schemas: Sequence[SchemaCodes],
    names: Names,
    shown: Sequence[np.ndarray] | None = None,
    *,
    gold: bool = True,
    texts: Sequence[Serialized] = (),
) -> Batch:
    """Return questions as a batch.

    Args:
        items: the questions.
        schemas: the schema of each.
        names: the table of names.
        shown: for each, which of the schema's items to show, in which order; None shows all as they are.
        gold: whether to add inputs, targets and masks.
        texts: of each, for a pretrained encoder.
    """
    shown = [np.arange(len(schema)) for schema in schemas] if shown is None else shown
    B = len(items)
    Q, S, V = (max(map(len, parts)) for parts in ([i.words for i in items], shown, [i.values for i in items]))
    sizes = [len(order) + len(item.values) + len(item.words) for item, order in zip(items, shown, strict=True)]
    N = max(sizes)
    whole = {name: np.zeros((B, *shape), dtype=np.int64) for name, shape in _shapes(Q, S, V, N).items()}
    relations = np.zeros((B, N, N), dtype=np.uint8)
    linked_nodes = np.full((B, N), -1)
    masks = np.zeros((B, S + V), dtype=bool)
    for row, (item, schema, order) in enumerate(zip(items, schemas, shown, strict=True)):
        q, s, v = len(item.words), len(order), len(item.values)
        position = np.full(len(schema) + 1, -1)  # the last is where -1, no column, points
        position[order] = np.arange(s)
        whole["words"][row, :q], whole["word_links"][row, :q] = item.words, item.word_links
        whole["item_names"][row, :s] = schema.names[order]
        whole["item_types"][row, :s], whole["item_keys"][row, :s] = schema.types[order], schema.keys[order]
        whole["item_tables"][row, :s] = position[schema.tables[order]].clip(0)
        whole["item_links"][row, :s] = item.item_links[order]
        whole["value_spans"][row, :v], whole["value_kinds"][row, :v] = item.value_spans, item.value_kinds
        whole["value_items"][row, :v] = position[item.value_items]
        masks[row, :s] = masks[row, S : S + v] = True
        n = s + v + q
        whole["node_parts"][row, :n] = np.concatenate([np.arange(s), S + np.arange(v), S + V + np.arange(q)])
        whole["pointer_nodes"][row, :s], whole["pointer_nodes"][row, S : S + v] = np.arange(s), s + np.arange(v)
        nodes = np.concatenate([order, np.arange(len(schema), len(schema) + v + q)])
        linked_nodes[row, :n] = np.concatenate([q + order, q + len(schema) + np.arange(v), np.arange(q)])
        relations[row, :n, :n] = item.relations[np.ix_(nodes, nodes)]
    used, inverse = np.unique(whole.pop("item_names"), return_inverse=True)
    own_names = [names.words[name] for name in used]
    spelled = np.zeros((len(own_names), max(map(len, own_names))), dtype=np.int64)
    for row, text in enumerate(own_names):
        spelled[row, : len(text)] = text
    answer = _answers(items, schemas, shown, S, V) if gold else {}
    return Batch(
        lengths=torch.tensor([len(item.words) for item in items]),
        names=torch.from_numpy(spelled),
        name_lengths=torch.tensor([len(name) for name in own_names]),
        item_names=torch.from_numpy(inverse.reshape(B, S)),
        item_mask=torch.from_numpy(masks[:, :S]),
        value_mask=torch.from_numpy(masks[:, S:]),
        node_lengths=torch.tensor(sizes),
        relations=torch.from_numpy(relations),
        linked_nodes=torch.from_numpy(linked_nodes),
        texts=tuple(texts),
        inputs=answer.get("inputs"),
        targets=answer.get("targets"),
        counted=answer.get("counted"),
        allowed=answer.get("allowed"),
        **{name: torch.from_numpy(array) for name, array in whole.items()},
    )


def _shapes(Q: int, S: int, V: int, N: int) -> dict[str, tuple[int, ...]]:
    return {
        "words": (Q,),
        "word_links": (Q, 3),
        "item_names": (S,),
        "item_types": (S,),
        "item_keys": (S,),
        "item_tables": (S,),
        "item_links": (S, 2),
        "value_spans": (V, 2),
        "value_kinds": (V,),
        "value_items": (V,),
        "node_parts": (N,),
        "pointer_nodes": (S + V,),
    }


def _answers(
    items: Sequence[Item], schemas: Sequence[SchemaCodes], shown: Sequence[np.ndarray], S: int, V: int
) -> dict[str, Tensor]:
    """Inputs, targets and masks, from the schema's own numbers to the batch's."""
    B, T, W = len(items), max(item.steps for item in items), len(WORDS)
    inputs, targets = np.zeros((B, T), dtype=np.int64), np.zeros((B, T), dtype=np.int64)
    counted, allowed = np.zeros((B, T), dtype=bool), np.zeros((B, T, W + S + V), dtype=bool)
    for row, (item, schema, order) in enumerate(zip(items, schemas, shown, strict=True)):
        assert item.gold is not None
        t, s, v = item.steps, len(order), len(item.values)
        number = np.full(item.gold.size, -1)
        number[:W] = np.arange(W)
        number[W + order] = W + np.arange(s)
        number[W + len(schema) :] = W + S + np.arange(v)
        actions = item.gold.actions
        moved = np.where(actions == UNKNOWN_VALUE, UNKNOWN_VALUE, number[actions])
        inputs[row, 0], inputs[row, 1:t] = BEGIN, moved[:-1]
        counted[row, :t] = actions != UNKNOWN_VALUE
        targets[row, :t] = np.where(counted[row, :t], moved, 0)
        bits = np.unpackbits(item.gold.allowed, axis=1, count=item.gold.size).astype(bool)
        known = number >= 0
        allowed[row, :t, number[known]] = bits[:, known].T
    allowed[~counted] = True  # nothing is counted there, and no row of a softmax may be empty
    arrays = {"inputs": inputs, "targets": targets, "counted": counted, "allowed": allowed}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
