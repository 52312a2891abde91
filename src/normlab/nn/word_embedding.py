"""Word vectors of which only those that training meets are parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PADDING = 0


class WordEmbedding(nn.Module):
    """A vector per word: trained rows first, then rows of words that only the pretrained file knows.

    The latter are a buffer, not parameters: training never meets those words, so their gradient would always be 0
    and Adam without weight decay would never move them. Leaving them out changes nothing but memory and time.

    Args:
        trained: rows that are parameters; row 0, padding, stays 0.
        fixed: rows that are not.
        dimension: of a vector.
        vectors: returns pretrained vectors of all rows and which rows it has found, as arrays; asked for only when
            new weights are drawn, so a trained model is loaded without them. Rows not found are drawn at random.
        freeze: train no row.
        sparse: make the gradient sparse, only the rows of the batch, so that an optimiser can leave the others alone.
    Initialisation: U(-sqrt(3 / dimension), sqrt(3 / dimension)), variance 1 / dimension (Ma & Hovy 2016, sec. 3.1).
    """

    fixed_rows: Tensor

    def __init__(
        self,
        trained: int,
        fixed: int,
        dimension: int,
        vectors: Callable[[], Any] | None = None,
        *,
        freeze: bool = False,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        self.vectors = vectors
        self.sparse = sparse and not freeze
        self.weight = nn.Parameter(torch.zeros(trained, dimension), requires_grad=not freeze)
        self.register_buffer("fixed_rows", torch.zeros(fixed, dimension))

    def parameter_options(self) -> dict[str, dict[str, Any]]:
        """Tell the optimiser whether the table's gradient is sparse."""
        return {"weight": {"sparse": True}} if self.sparse else {}

    def reset_parameters(self) -> None:
        """Draw new vectors, pretrained ones where there are any."""
        uniform_rows(self.weight)
        if self.vectors is None:
            return
        trained = len(self.weight)
        matrix, has_vector = (torch.from_numpy(part) for part in self.vectors())
        with torch.no_grad():
            self.weight[has_vector[:trained]] = matrix[:trained][has_vector[:trained]].to(self.weight)
            self.fixed_rows.copy_(matrix[trained:])
            self.weight[PADDING] = 0

    def forward(self, words: Tensor) -> Tensor:
        """Map numbers (B, T) to vectors (B, T, dimension)."""
        trained = len(self.weight)
        # Other words look up padding, so that they touch no row.
        inside = words.masked_fill(words >= trained, PADDING)
        known = F.embedding(inside, self.weight, padding_idx=PADDING, sparse=self.sparse)
        if not len(self.fixed_rows):
            return known
        others = F.embedding((words - trained).clamp(min=0), self.fixed_rows)
        return torch.where((words < trained).unsqueeze(-1), known, others)


def uniform_rows(weight: Tensor) -> None:
    """Draw a table of vectors with variance 1 / dimension; row 0, padding, is 0."""
    bound = math.sqrt(3 / weight.shape[1])
    with torch.no_grad():
        weight.uniform_(-bound, bound)
        weight[PADDING] = 0
