"""From a batch to node states: question, tables, columns and value candidates as vectors of one size.

The question runs through a BiLSTM over word vectors and what the words are linked to; a table's or a column's name
through a small one of its own, with its type, key, table and links added; a value candidate is the mean of its
words, with its kind and its column added. Relation-aware layers follow, with attention among all nodes.

Dimensions as in `encoding`: B questions, Q words, S items, V values, N nodes, U names, D size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.nn.lstm import LayerNormLSTM
from normlab.nn.word_embedding import WordEmbedding
from normlab.tasks.text2sql.inputs.encoding import CELL_LINKS, KEYS, LINKS, TYPES, Batch
from normlab.tasks.text2sql.linking.values import KINDS
from normlab.tasks.text2sql.model.pretrained import PretrainedEncoder
from normlab.tasks.text2sql.model.relation_layers import RelationLayers

_LINK_SIZE = 16


class LSTMEncoder(nn.Module):
    """The encoder without a language model.

    Args:
        words: the word vectors, of size word_size.
        size: D.
        relations: number of kinds of relation.
        layers, heads: of the relation-aware layers.
        dropout: on word vectors, on states, in the layers.
        mean_names: read a name as the mean of its words instead of by an LSTM.
    """

    def __init__(
        self,
        words: WordEmbedding,
        word_size: int,
        size: int,
        *,
        relations: int,
        layers: int,
        heads: int,
        dropout: float,
        mean_names: bool,
    ) -> None:
        super().__init__()
        self.words = words
        self.dropout = nn.Dropout(dropout)
        self.links = nn.ModuleList(nn.Embedding(kinds, _LINK_SIZE) for kinds in (LINKS, LINKS, CELL_LINKS))
        self.question = _bilstm(word_size + 3 * _LINK_SIZE, size)
        self.name_reader = None if mean_names else _bilstm(word_size, size)
        self.name_mean = nn.Linear(word_size, size) if mean_names else None
        self.item = ItemFeatures(size)
        self.value = ValueFeatures(size)
        self.layers = RelationLayers(layers, size, heads, relations, dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return the states of the nodes, (B, N, D): items, values, words without gaps."""
        linked = [links(batch.word_links[..., index]) for index, links in enumerate(self.links)]
        features = torch.cat([self.dropout(self.words(batch.words)), *linked], -1)
        question, _ = self.question(features, lengths=batch.lengths)
        question = self.dropout(question)
        names = self.dropout(self._names(batch))
        items = self.item(names, batch)
        values = self.value(question, items, batch)
        parts = torch.cat([items, values, question], 1)
        nodes = parts.gather(1, batch.node_parts.unsqueeze(-1).expand(-1, -1, parts.shape[-1]))
        return self.layers(nodes, batch.relations, batch.node_mask)

    def _names(self, batch: Batch) -> Tensor:
        """Read every distinct name once, (U, D)."""
        words = self.dropout(self.words(batch.names))
        if self.name_reader is not None:
            _, (last, _) = self.name_reader(words, lengths=batch.name_lengths)
            return torch.cat([last[0], last[1]], -1)
        assert self.name_mean is not None
        real = torch.arange(words.shape[1], device=words.device) < batch.name_lengths[:, None]
        mean = (words * real.unsqueeze(-1)).sum(1) / batch.name_lengths.clamp(min=1)[:, None]
        return self.name_mean(mean).tanh()


class ItemFeatures(nn.Module):
    """Tables and columns: name, type, key, the table's name, links; (U, D) names -> (B, S, D)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.types, self.keys = nn.Embedding(len(TYPES), size), nn.Embedding(len(KEYS), size)
        self.links = nn.ModuleList(nn.Embedding(kinds, size) for kinds in (LINKS, CELL_LINKS))
        self.table = nn.Linear(size, size, bias=False)
        self.norm = nn.LayerNorm(size)

    def forward(self, names: Tensor, batch: Batch) -> Tensor:
        """Add up what is known of each item."""
        name_states = F.embedding(batch.item_names, names)
        table = name_states.gather(1, batch.item_tables.unsqueeze(-1).expand_as(name_states))
        added = self.types(batch.item_types) + self.keys(batch.item_keys) + self.table(table)
        return self.norm(name_states + added + _linked(self.links, batch.item_links))


class ValueFeatures(nn.Module):
    """Value candidates: mean state of their words, kind, column; -> (B, V, D)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.kinds = nn.Embedding(len(KINDS), size)
        self.words = nn.Linear(size, size, bias=False)
        self.column = nn.Linear(size, size, bias=False)
        self.norm = nn.LayerNorm(size)

    def forward(self, question: Tensor, items: Tensor, batch: Batch) -> Tensor:
        """Average each candidate's span by differences of running sums."""
        B, _, D = question.shape
        sums = torch.cat([question.new_zeros(B, 1, D), question.cumsum(1)], 1)
        first, last = (batch.value_spans[..., end].unsqueeze(-1).expand(-1, -1, D) for end in (0, 1))
        size = (batch.value_spans[..., 1] - batch.value_spans[..., 0]).clamp(min=1).unsqueeze(-1)
        mean = (sums.gather(1, last) - sums.gather(1, first)) / size
        held = (batch.value_items >= 0).unsqueeze(-1)
        column = items.gather(1, batch.value_items.clamp(min=0).unsqueeze(-1).expand(-1, -1, D)) * held
        return self.norm(self.kinds(batch.value_kinds) + self.words(mean) + self.column(column))


class PretrainedNodes(nn.Module):
    """A pretrained encoder's node states, made D wide, with what is known of each node added, and relation layers.

    Args:
        encoder: word pieces -> node states.
        size: D; relations, layers, heads, dropout as in `LSTMEncoder`.
    """

    def __init__(
        self, encoder: PretrainedEncoder, size: int, *, relations: int, layers: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.project = nn.Linear(encoder.size, size)
        self.word_links = nn.ModuleList(nn.Embedding(kinds, size) for kinds in (LINKS, LINKS, CELL_LINKS))
        self.item_links = nn.ModuleList(nn.Embedding(kinds, size) for kinds in (LINKS, CELL_LINKS))
        self.types, self.keys = nn.Embedding(len(TYPES), size), nn.Embedding(len(KEYS), size)
        self.kinds = nn.Embedding(len(KINDS), size)
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)
        self.layers = RelationLayers(layers, size, heads, relations, dropout)

    def forward(self, batch: Batch) -> Tensor:
        """Return the states of the nodes, (B, N, D): items, values, words without gaps."""
        states = self.project(self.dropout(self.encoder(batch.texts, batch.linked_nodes)))
        items = self.types(batch.item_types) + self.keys(batch.item_keys) + _linked(self.item_links, batch.item_links)
        words = _linked(self.word_links, batch.word_links)
        known = torch.cat([items, self.kinds(batch.value_kinds), words], 1)
        nodes = self.norm(states + known.gather(1, batch.node_parts.unsqueeze(-1).expand_as(states)))
        return self.layers(self.dropout(nodes), batch.relations, batch.node_mask)


def _linked(embeddings: nn.ModuleList, links: Tensor) -> Tensor:
    """Add up the vectors of each kind of link, (..., kinds) -> (..., D)."""
    return torch.stack([embedding(links[..., index]) for index, embedding in enumerate(embeddings)]).sum(0)


def _bilstm(input_size: int, size: int) -> LayerNormLSTM:
    return LayerNormLSTM(input_size, size // 2, bidirectional=True, batch_first=True, layer_norm=False)
