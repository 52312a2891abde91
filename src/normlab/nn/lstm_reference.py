"""The (layer-normalised) LSTM's definition in plain PyTorch: one direction of one layer.

Any type, any device: what a compiled kernel must equal. Dimensions as in `lstm`: T steps, B sentences, D input
size, H hidden size, P size of the output: the projection's, or H without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.kernels.lstm.directions import State, run_directions
from normlab.kernels.runtime.derivatives import register_reference
from normlab.nn.recurrence import recur


class LSTMWeights(NamedTuple):
    """The parameters of one direction of a layer; gains and bias_c are None in a plain LSTM, weight_hr unprojected."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor
    gain_ih: Tensor | None
    gain_hh: Tensor | None
    gain_c: Tensor | None
    bias_c: Tensor | None
    weight_hr: Tensor | None = None


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
        """Return the output (T, B, P), 0 in padding, and the final h (B, P) and c (B, H)."""
        if self.mask_tb1 is not None:
            # Also keeps a NaN in padding out of the gradients.
            x_tbd = x_tbd.masked_fill(~self.mask_tb1, 0.0)
        input_sums = _gate_sums(x_tbd, weights.weight_ih, weights.gain_ih, weights.bias_ih, eps)

        def step(state: State, position: tuple[Tensor, ...]) -> tuple[State, Tensor]:
            h, c = state
            new_h, new_c = _cell(position[0], h, c, weights, eps)
            if self.mask_tb1 is None:
                return (new_h, new_c), new_h
            real = position[1]
            shown = torch.where(real, new_h, 0.0)
            return (torch.where(real, new_h, h), torch.where(real, new_c, c)), shown

        inputs = (input_sums,) if self.mask_tb1 is None else (input_sums, self.mask_tb1)
        state, output = recur(step, state, inputs, reverse=reverse)
        return x_tbd.new_zeros(0, *state[0].shape) if output is None else output, state


def _cell(input_sum: Tensor, h: Tensor, c: Tensor, weights: LSTMWeights, eps: float) -> State:
    a = input_sum + _gate_sums(h, weights.weight_hh, weights.gain_hh, weights.bias_hh, eps)
    i, f, g, o = a.chunk(4, dim=-1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    shown = c if weights.gain_c is None else F.layer_norm(c, c.shape[-1:], weights.gain_c, weights.bias_c, eps)
    h = o.sigmoid() * shown.tanh()
    return h if weights.weight_hr is None else F.linear(h, weights.weight_hr), c


def _gate_sums(x: Tensor, weight: Tensor, gain: Tensor | None, bias: Tensor, eps: float) -> Tensor:
    if gain is None:
        return F.linear(x, weight, bias)
    return F.layer_norm(F.linear(x, weight), bias.shape, gain, bias, eps)


def _layer_reference(inputs: Sequence[Tensor | None], eps: float) -> tuple[Tensor, ...]:
    """Compute a whole layer: x, h, c, lengths and the weights of each direction as the kernel takes them."""
    x, h_0, c_0, lengths, *flat = inputs
    assert x is not None
    assert h_0 is not None
    assert c_0 is not None
    size = len(flat) // len(h_0)
    parts = [[*flat[start : start + size], *[None] * (8 - size)] for start in range(0, len(flat), size)]
    weights = [LSTMWeights(*part) for part in parts]  # type: ignore[arg-type]
    return run_directions(ReferenceRunner(x, lengths), x, (h_0, c_0), weights, eps)


register_reference("lstm_layer", _layer_reference)
