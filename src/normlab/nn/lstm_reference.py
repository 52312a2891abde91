"""The (layer-normalised) LSTM's definition in plain PyTorch: one direction of one layer.

Any type, any device: what a compiled twin must equal. Letters as in `lstm`: T steps, B sentences, D input
size, H hidden size.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

State = tuple[Tensor, Tensor]


class LSTMWeights(NamedTuple):
    """What one direction of one layer owns; the last four are None in a plain LSTM."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor
    gain_ih: Tensor | None
    gain_hh: Tensor | None
    gain_c: Tensor | None
    bias_c: Tensor | None


class ReferenceRunner:
    """Runs directions over one batch.

    A step at or beyond a sentence's length leaves its state alone. That is all that lengths need: going
    backwards, the state is still the initial one when the last real step is reached.
    """

    def __init__(self, x_tbd: Tensor, lengths: Tensor | None) -> None:
        self.mask_tb1: Tensor | None = None
        if lengths is not None:
            steps = torch.arange(x_tbd.shape[0], device=x_tbd.device)
            self.mask_tb1 = (steps[:, None] < lengths.to(x_tbd.device)).unsqueeze(-1)

    def __call__(
        self, x_tbd: Tensor, state: State, weights: LSTMWeights, *, reverse: bool, eps: float
    ) -> tuple[Tensor, State]:
        """Return the output (T, B, H), 0 in padding, and the final (h, c), each (B, H)."""
        h, c = state
        if self.mask_tb1 is not None:
            # Also keeps a NaN in padding out of the gradients.
            x_tbd = x_tbd.masked_fill(~self.mask_tb1, 0.0)
        input_sums = _gate_sums(x_tbd, weights.weight_ih, weights.gain_ih, weights.bias_ih, eps)
        outputs: list[Tensor] = [h] * len(input_sums)
        order = range(len(input_sums) - 1, -1, -1) if reverse else range(len(input_sums))
        for t in order:
            new_h, new_c = _cell(input_sums[t], h, c, weights, eps)
            if self.mask_tb1 is None:
                outputs[t] = h = new_h
                c = new_c
            else:
                real = self.mask_tb1[t]
                h, c = torch.where(real, new_h, h), torch.where(real, new_c, c)
                outputs[t] = torch.where(real, new_h, 0.0)
        output = torch.stack(outputs) if outputs else x_tbd.new_zeros(0, *h.shape)
        return output, (h, c)


def _cell(input_sum: Tensor, h: Tensor, c: Tensor, weights: LSTMWeights, eps: float) -> State:
    a = input_sum + _gate_sums(h, weights.weight_hh, weights.gain_hh, weights.bias_hh, eps)
    i, f, g, o = a.chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    shown = c if weights.gain_c is None else F.layer_norm(c, c.shape[-1:], weights.gain_c, weights.bias_c, eps)
    return o.sigmoid() * shown.tanh(), c


def _gate_sums(x: Tensor, weight: Tensor, gain: Tensor | None, bias: Tensor, eps: float) -> Tensor:
    if gain is None:
        return F.linear(x, weight, bias)
    return F.layer_norm(F.linear(x, weight), bias.shape, gain, bias, eps)
