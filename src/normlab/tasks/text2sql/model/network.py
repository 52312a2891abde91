"""The text-to-SQL network: an encoder, a decoder, and the loss of gold actions.

Every question is computed as if it were alone: the LSTMs take lengths, attention is masked, and the loss is a sum over
the question's own actions. Dimensions as in `encoding`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from normlab.tasks.text2sql.grammar.actions import WORDS
from normlab.tasks.text2sql.inputs.encoding import Batch
from normlab.tasks.text2sql.model.decoder import Decoder, Encoded, State


class Text2Sql(nn.Module):
    """Scores of actions given a question and a schema.

    Args:
        encoder: batch -> node states (B, N, D).
        decoder: writes the actions.
    """

    def __init__(self, encoder: nn.Module, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def encode(self, batch: Batch) -> Encoded:
        """Encode a batch once, for all steps."""
        nodes, mask = self.encoder(batch), batch.node_mask
        pointed = nodes.gather(1, batch.pointer_nodes.unsqueeze(-1).expand(-1, -1, nodes.shape[-1]))
        is_word = mask & (batch.node_parts >= batch.pointer_nodes.shape[1])
        summary = (nodes * is_word.unsqueeze(-1)).sum(1) / batch.lengths.clamp(min=1)[:, None]
        return self.decoder.encode(nodes, mask, pointed, summary)

    def forward(self, batch: Batch) -> Tensor:
        """Return the scores of all actions at every gold step, (B, T, W + S + V)."""
        assert batch.inputs is not None
        encoded = self.encode(batch)
        return self.decoder.scores(self.decoder.outputs(batch.inputs, encoded), encoded.pointers)

    def step(self, actions: Tensor, rows: Tensor, encoded: Encoded, state: State) -> tuple[Tensor, State]:
        """Return the scores after the last actions (R,) over the questions `rows` (R,), and the new states."""
        return self.decoder.step(actions, rows, encoded, state)


def real_actions(batch: Batch) -> Tensor:
    """(B, W + S + V), True for every keyword and for items and values that are there."""
    words = batch.item_mask.new_ones(len(batch.words), len(WORDS))
    return torch.cat([words, batch.item_mask, batch.value_mask], 1)


def gold_losses(scores: Tensor, batch: Batch, *, masked: bool, smoothing: float = 0.0) -> Tensor:
    """Return each question's loss, (B,): the sum over its actions of -log p(action), in nats.

    Args:
        scores: (B, T, W + S + V).
        masked: share the probability among what the grammar allows, else among all that is there.
        smoothing: part of the target that is spread evenly over those.
    """
    assert batch.targets is not None
    assert batch.counted is not None
    assert batch.allowed is not None
    shared = batch.allowed if masked else real_actions(batch).unsqueeze(1).expand_as(batch.allowed)
    log_p = scores.float().masked_fill(~shared, -math.inf).log_softmax(-1)
    losses = -log_p.gather(-1, batch.targets.unsqueeze(-1)).squeeze(-1)
    if smoothing:
        even = -log_p.masked_fill(~shared, 0.0).sum(-1) / shared.sum(-1)
        losses = (1 - smoothing) * losses + smoothing * even
    return losses.masked_fill(~batch.counted, 0.0).sum(-1)
