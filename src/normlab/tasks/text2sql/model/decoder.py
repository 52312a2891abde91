"""The decoder: an LSTM with input feeding that writes a query's actions.

Keywords come from a linear layer, tables, columns and values from pointers to their nodes:

h_t = LSTM([e(a_{t-1}); o_{t-1}], h_{t-1}),  o_t = tanh(W [h_t; attention(h_t)]),
score(keyword w) = e_w . o_t + b_w,  score(item m) = P m . o_t / sqrt(D)
and p(a_t) is the softmax of the scores over what the grammar allows there. What was chosen comes back as an input:
a keyword by its own vector, a pointer by its node's.

Dimensions: B questions (R rows in a beam search), T actions, P = S + V pointers, W keywords, D size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from normlab.nn.attention import Memory, make_attention
from normlab.nn.lstm_cell import FeedingLSTMCell
from normlab.nn.output import OutputLinear
from normlab.tasks.text2sql.grammar.actions import WORDS

State = tuple[Tensor, Tensor, Tensor]


class Encoded(NamedTuple):
    """What the decoder reads of a batch, one row per question.

    Attributes:
        inputs: (B, W + P + 2, 4 D) gate sums of each action as the last one; the last two are `UNKNOWN_VALUE`, `BEGIN`.
        pointers: (B, P, D) what the output is compared with.
        memory: what attention looks at, None without attention.
        start: three of (B, D), the LSTM's h and c and the output vector before the first step.
    """

    inputs: Tensor
    pointers: Tensor
    memory: Memory | None
    start: State


class ByQuestion(NamedTuple):
    """The hypotheses of a beam search put together by question, so that what belongs to one is read once for all.

    Attributes:
        questions: (Q,) those of the batch that hypotheses are over.
        row: (R,) for each hypothesis, which of these it is over.
        place: (R,) and which of that question's hypotheses it is.
        most: K, the most hypotheses of a question.
    """

    questions: Tensor
    row: Tensor
    place: Tensor
    most: int

    @classmethod
    def of(cls, rows: Tensor) -> ByQuestion:
        """Return the order for hypotheses over the questions `rows` (R,), those of a question one after the other."""
        questions, row, counts = rows.unique_consecutive(return_inverse=True, return_counts=True)
        place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[row]
        return cls(questions, row, place, int(counts.max()))

    def gather(self, values: Tensor) -> Tensor:
        """(R, D) -> (Q, K, D), zeros where a question has fewer."""
        together = values.new_zeros(len(self.questions), self.most, values.shape[-1])
        together[self.row, self.place] = values
        return together

    def scatter(self, together: Tensor) -> Tensor:
        """(Q, K, D) -> (R, D)."""
        return together[self.row, self.place]

    def of_questions(self, part: Tensor) -> Tensor:
        """(B, ...) of the batch -> (Q, ...)."""
        return part if len(part) == len(self.questions) else part[self.questions]


class Decoder(nn.Module):
    """See the module.

    Args:
        size: D, of nodes and states.
        attention: bahdanau, luong, multi_head, or None for none.
        heads: of multi_head.
        layer_norm: of the cell.
        dropout: on the output vectors.
    """

    def __init__(self, size: int, attention: str | None, heads: int, *, layer_norm: bool, dropout: float) -> None:
        super().__init__()
        self.size = size
        self.keywords = nn.Embedding(len(WORDS) + 2, size)
        self.keyword_bias = nn.Parameter(torch.zeros(len(WORDS)))
        self.keyword_output = OutputLinear(size, len(WORDS), bias=False)
        self.node_input = nn.Linear(size, size)
        self.node_pointer = nn.Linear(size, size)
        self.cell = FeedingLSTMCell(size, size, size, layer_norm=layer_norm)
        self.attention = None if attention is None else make_attention(attention, size, size, heads)
        self.output = nn.Linear(size if attention is None else 2 * size, size)
        self.start = nn.Linear(size, 2 * size)
        self.dropout = nn.Dropout(dropout)

    def reset_parameters(self) -> None:
        """Start without a preference among keywords."""
        nn.init.zeros_(self.keyword_bias)

    def encode(self, nodes: Tensor, mask: Tensor, pointed: Tensor, summary: Tensor) -> Encoded:
        """Prepare what every step reads.

        Args:
            nodes: (B, N, D) what attention looks at; mask (B, N) True where real.
            pointed: (B, P, D) those that pointers name.
            summary: (B, D) of the question, where the state starts from.
        """
        words = self.cell.project(self.keywords.weight).expand(len(nodes), -1, -1)
        known, special = words[:, : len(WORDS)], words[:, len(WORDS) :]
        inputs = torch.cat([known, self.cell.project(self.node_input(pointed)), special], 1)
        memory = None if self.attention is None else self.attention.prepare(nodes, mask)
        h, c = self.start(summary).tanh().chunk(2, -1)
        return Encoded(inputs, self.node_pointer(pointed), memory, (h, c, torch.zeros_like(h)))

    def step(self, actions: Tensor, rows: Tensor, encoded: Encoded, state: State) -> tuple[Tensor, State]:
        """Take in the last actions (R,) of hypotheses over the questions `rows` (R,), those of a question together.

        Returns: the score of each action (R, W + P), and the new states.
        """
        hypotheses = ByQuestion.of(rows)
        h, c = self._recur(encoded.inputs[rows, actions], state)
        seen = h
        if self.attention is not None:
            assert encoded.memory is not None
            memory = Memory(*map(hypotheses.of_questions, encoded.memory))
            seen = torch.cat([h, hypotheses.scatter(self.attention(hypotheses.gather(h), memory))], -1)
        output = self._output(seen)
        scores = self.scores(hypotheses.gather(output), hypotheses.of_questions(encoded.pointers))
        return hypotheses.scatter(scores), (h, c, output)

    def _recur(self, projected: Tensor, state: State) -> tuple[Tensor, Tensor]:
        h, c = self.cell(projected, state[2], state[:2])
        return h, c

    def _output(self, seen: Tensor) -> Tensor:
        return self.dropout(self.output(seen).tanh())

    def outputs(self, actions: Tensor, encoded: Encoded) -> Tensor:
        """Feed gold actions (B, T), the one before each step, and return the output vectors (B, T, D)."""
        places = actions.remainder(encoded.inputs.shape[1])
        projected = encoded.inputs.gather(1, places.unsqueeze(-1).expand(-1, -1, 4 * self.size))
        state, outputs = encoded.start, []
        for step in projected.unbind(1):
            h, c = self._recur(step, state)
            seen = h
            if self.attention is not None:
                assert encoded.memory is not None
                seen = torch.cat([h, self.attention(h, encoded.memory)], -1)
            state = h, c, self._output(seen)
            outputs.append(state[2])
        return torch.stack(outputs, 1)

    def scores(self, outputs: Tensor, pointers: Tensor) -> Tensor:
        """Return the score of each action, (B, T, D) -> (B, T, W + P)."""
        words = self.keyword_output(outputs) + self.keyword_bias
        return torch.cat([words, outputs @ pointers.transpose(1, 2) / math.sqrt(self.size)], -1)
