"""Attention of a decoder state over a memory: additive, multiplicative, multi-head.

Each has two parts: `prepare` works on the memory once per sentence, `forward` once per step. What `prepare` returns is
tensors with one row per sentence along axis 0, so that a beam search can repeat and reorder them; or it asks K queries
of each sentence at once, and repeats nothing.

Dimensions: B rows, K queries of each, N places of the memory, D its size, H the query's size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Memory(NamedTuple):
    """A prepared memory: what queries are compared with, what is summed, and (B, N) 0 where real, else -inf."""

    keys: Tensor
    values: Tensor
    bias: Tensor


class Attention(nn.Module):
    """The interface. A sentence with an empty memory gets a context of 0.

    Shape: memory (B, N, D), mask (B, N); query (B, H) -> context (B, D), or (B, K, H) -> (B, K, D).
    """

    def prepare(self, memory: Tensor, mask: Tensor) -> Memory:
        """Work on a memory, once for all steps."""
        raise NotImplementedError

    def forward(self, query: Tensor, memory: Memory) -> Tensor:
        """Return the context of each query."""
        if query.dim() == 2:
            return self.contexts(query.unsqueeze(1), memory).squeeze(1)
        return self.contexts(query, memory)

    def contexts(self, queries: Tensor, memory: Memory) -> Tensor:
        """Return the contexts (B, K, D) of queries (B, K, H)."""
        weights = _softmax(self.scores(queries, memory), memory.bias.unsqueeze(1))
        return torch.bmm(weights, memory.values)

    def scores(self, queries: Tensor, memory: Memory) -> Tensor:
        """Return the score of each place for each query, (B, K, N)."""
        raise NotImplementedError


class BahdanauAttention(Attention):
    """score = v . tanh(W q + U m)                                  (Bahdanau, Cho & Bengio 2015, sec. A.1.2)"""

    def __init__(self, query_size: int, memory_size: int, size: int | None = None) -> None:
        super().__init__()
        size = size or memory_size
        self.query = nn.Linear(query_size, size, bias=False)
        self.key = nn.Linear(memory_size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def prepare(self, memory: Tensor, mask: Tensor) -> Memory:
        """Compute U m."""
        return Memory(self.key(memory), memory, _bias(mask, memory))

    def scores(self, queries: Tensor, memory: Memory) -> Tensor:
        """Compare additively."""
        return self.score((self.query(queries).unsqueeze(2) + memory.keys.unsqueeze(1)).tanh()).squeeze(-1)


class LuongAttention(Attention):
    """score = q . W m, the form `general`                             (Luong, Pham & Manning 2015, sec. 3.1)"""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def prepare(self, memory: Tensor, mask: Tensor) -> Memory:
        """Compute W m."""
        return Memory(self.key(memory), memory, _bias(mask, memory))

    def scores(self, queries: Tensor, memory: Memory) -> Tensor:
        """Compare by inner products."""
        return torch.bmm(memory.keys, queries.transpose(1, 2)).transpose(1, 2)


class MultiHeadAttention(Attention):
    """softmax(q_h . k_h / sqrt(d)) v_h for each head h, joined by W_o     (Vaswani et al. 2017, sec. 3.2.2)

    Args:
        heads: must divide memory_size.
    """

    def __init__(self, query_size: int, memory_size: int, heads: int) -> None:
        super().__init__()
        if memory_size % heads:
            raise ValueError(f"heads must divide {memory_size}, got {heads}")
        self.heads, self.head_size = heads, memory_size // heads
        self.query = nn.Linear(query_size, memory_size)
        self.key_value = nn.Linear(memory_size, 2 * memory_size)
        self.output = nn.Linear(memory_size, memory_size)

    def prepare(self, memory: Tensor, mask: Tensor) -> Memory:
        """Compute keys and values, (B, heads, N, d)."""
        B, N, _ = memory.shape
        both = self.key_value(memory).view(B, N, 2, self.heads, self.head_size).permute(2, 0, 3, 1, 4)
        return Memory(both[0].contiguous(), both[1].contiguous(), _bias(mask, memory))

    def contexts(self, queries: Tensor, memory: Memory) -> Tensor:
        """Return the heads' contexts, joined."""
        B, K, _ = queries.shape
        by_head = self.query(queries).view(B, K, self.heads, self.head_size).permute(0, 2, 3, 1)
        scores = (memory.keys @ by_head).transpose(2, 3) / math.sqrt(self.head_size)
        weights = _softmax(scores, memory.bias[:, None, None])
        context = (weights @ memory.values).transpose(1, 2).reshape(B, K, -1)
        return self.output(context)


def make_attention(kind: str, query_size: int, memory_size: int, heads: int) -> Attention:
    """Return the attention of a name: bahdanau, luong or multi_head."""
    if kind == "multi_head":
        return MultiHeadAttention(query_size, memory_size, heads)
    return {"bahdanau": BahdanauAttention, "luong": LuongAttention}[kind](query_size, memory_size)


def _bias(mask: Tensor, memory: Tensor) -> Tensor:
    return torch.zeros_like(mask, dtype=memory.dtype).masked_fill_(~mask, -math.inf)


def _softmax(scores: Tensor, bias: Tensor) -> Tensor:
    """Softmax over the real places; 0 everywhere where there is none."""
    if scores.shape[-1] == 0:
        return scores
    # The smallest number stands for -inf, so that a row without any real place is no NaN.
    masked = scores + bias.clamp(min=torch.finfo(scores.dtype).min / 2)
    return F.softmax(masked, dim=-1) * (bias == 0)
