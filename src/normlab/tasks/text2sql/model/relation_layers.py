"""Self-attention with relations between nodes (Shaw, Uszkoreit & Vaswani 2018; RAT-SQL, Wang et al. 2020).

e_ij = q_i . (k_j + r^K_ij) / sqrt(d),   z_i = sum_j softmax(e)_ij (v_j + r^V_ij)

r_ij depends only on the kind of relation, of which there are few. So q_i . r^K is computed once per kind and picked by
kind, and the attention mass of each kind is added up before it meets r^V: no tensor of size (B, N, N, d) exists.

Dimensions: B questions, N nodes, D size, H heads, d = D / H, R kinds of relation.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn


class RelationAttention(nn.Module):
    """Multi-head attention with relation vectors shared by the heads.

    Args:
        size: D.
        heads: H; must divide D.
        relations: R.
    Shape: x (B, N, D), relations (B, N, N) whole numbers below R, mask (B, N) True where real -> (B, N, D).
    """

    def __init__(self, size: int, heads: int, relations: int) -> None:
        super().__init__()
        self.heads, self.head_size = heads, size // heads
        self.project = nn.Linear(size, 3 * size)
        self.output = nn.Linear(size, size)
        self.keys = nn.Embedding(relations, self.head_size)
        self.values = nn.Embedding(relations, self.head_size)

    def forward(self, x: Tensor, relations: Tensor, mask: Tensor) -> Tensor:
        """Attend."""
        B, N, D = x.shape
        q, k, v = self.project(x).view(B, N, 3, self.heads, self.head_size).permute(2, 0, 3, 1, 4)
        kinds = relations.unsqueeze(1).expand(B, self.heads, N, N)
        scores = q @ k.transpose(-1, -2) + (q @ self.keys.weight.T).gather(-1, kinds)
        scores = (scores / math.sqrt(self.head_size)).masked_fill(~mask[:, None, None, :], -1e9)
        weights = scores.softmax(-1)
        mass = weights.new_zeros(B, self.heads, N, self.values.num_embeddings).scatter_add(-1, kinds, weights)
        mixed = weights @ v + mass @ self.values.weight
        return self.output(mixed.transpose(1, 2).reshape(B, N, D))


class RelationLayer(nn.Module):
    """Pre-norm block: relation-aware attention, then a two-layer network, each added to its input."""

    def __init__(self, size: int, heads: int, relations: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.network_norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = RelationAttention(size, heads, relations)
        self.widen, self.narrow = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, relations: Tensor, mask: Tensor) -> Tensor:
        """Return the nodes' new states, (B, N, D)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), relations, mask))
        return x + self.dropout(self.narrow(F.relu(self.widen(self.network_norm(x)))))


class RelationLayers(nn.Module):
    """Some layers and a final norm; without a layer nothing at all."""

    def __init__(self, layers: int, size: int, heads: int, relations: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(RelationLayer(size, heads, relations, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(size) if layers else None

    def forward(self, x: Tensor, relations: Tensor, mask: Tensor) -> Tensor:
        """Return the nodes' new states, (B, N, D)."""
        if self.norm is None:
            return x
        kinds = relations.long()
        for layer in self.layers:
            x = layer(x, kinds, mask)
        return self.norm(x)
