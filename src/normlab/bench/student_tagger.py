"""Baseline: the tagger as courses write it. It is slow on purpose.

A table of all GloVe words updated by dense Adam, batches in the file's order, characters of every padded word, a
layer-normalised LSTM cell in a Python loop, and a CRF in a Python loop (pytorch-crf, where it is installed).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.data import NerData


class StudentTagging:
    """Callable: trains `steps` batches and returns the number of their words.

    Args:
        table: words in the embedding table.
        crf: pytorch-crf's `CRF`.
    """

    def __init__(self, config: NerConfig, data: NerData, steps: int, table: int, crf: Any) -> None:
        self.split, self.steps, self.batch = data.splits["train"], steps, config.batch_size
        tags = len(data.card["classes"])
        self.letters = nn.Embedding(len(data.card["characters"]) + 2, config.char_dim, padding_idx=0)
        self.table = nn.Embedding(table, data.card["embedding_dim"], padding_idx=0)
        self.reader = NaiveBiLSTM(config.char_dim, config.char_hidden)
        self.tagger = NaiveBiLSTM(self.table.embedding_dim + 2 * config.char_hidden, config.hidden)
        self.linear = nn.Linear(2 * config.hidden, tags)
        self.crf = crf(tags, batch_first=True)
        parts = nn.ModuleList([self.letters, self.table, self.reader, self.tagger, self.linear, self.crf])
        self.optimizer = torch.optim.Adam(parts.parameters(), lr=1e-3)
        self._place = 0

    def __call__(self) -> int:
        """Train."""
        done = 0
        for _ in range(self.steps):
            rows = np.arange(self._place, self._place + self.batch) % len(self.split)
            self._place += self.batch
            batch = self.split.batch(rows)
            assert batch.tags is not None
            assert batch.characters is not None
            assert batch.spelling is not None
            done += int(batch.lengths.sum())
            emissions = self._emissions(batch.words % self.table.num_embeddings, batch.characters[batch.spelling])
            loss = -self.crf(emissions, batch.tags, batch.mask, reduction="mean")
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return done

    def _emissions(self, words_bt: Tensor, spelled_btl: Tensor) -> Tensor:
        spelled = self.letters(spelled_btl.flatten(0, 1))  # every padded word is read
        hidden = self.reader(spelled.transpose(0, 1))
        half = hidden.shape[-1] // 2
        last = torch.cat([hidden[-1, :, :half], hidden[0, :, half:]], dim=-1).view(*words_bt.shape, -1)
        features = F.dropout(torch.cat([self.table(words_bt), last], dim=-1), 0.5)
        return self.linear(self.tagger(features.transpose(0, 1)).transpose(0, 1))


class NaiveBiLSTM(nn.Module):
    """A layer-normalised LSTM, both directions, a step and a direction at a time; (T, B, D) -> (T, B, 2 H)."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.inputs = nn.ModuleList(nn.Linear(size, 4 * hidden) for _ in range(2))
        self.recurrent = nn.ModuleList(nn.Linear(hidden, 4 * hidden) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(n) for _ in range(2) for n in (4 * hidden, 4 * hidden, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Read the words of x forwards and backwards."""
        return torch.cat([self._run(x, 0), self._run(x.flip(0), 1).flip(0)], dim=-1)

    def _run(self, x: Tensor, way: int) -> Tensor:
        h = c = x.new_zeros(x.shape[1], self.hidden)
        norm_x, norm_h, norm_c = self.norms[3 * way : 3 * way + 3]
        outputs = []
        for x_t in x:
            gates = norm_x(self.inputs[way](x_t)) + norm_h(self.recurrent[way](h))
            i, f, g, o = gates.chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * norm_c(c).tanh()
            outputs.append(h)
        return torch.stack(outputs)
