"""One step of a (layer-normalised) LSTM, for decoders whose input depends on their last output."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = tuple[Tensor, Tensor]


class FeedingLSTMCell(nn.Module):
    """LSTM cell whose input has two parts: one known for all steps beforehand, one fed back from the last step.

    a_t = W_x x_t + W_f f_t + W_h h_{t-1} + b;  with layer_norm  a_t = LN(W_x x_t + W_f f_t) + LN(W_h h_{t-1})
    c_t = sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g)
    h_t = sigmoid(o) * tanh(LN(c_t))           (Hochreiter & Schmidhuber 1997; Ba, Kiros & Hinton 2016, eq. 20-22)

    `project` makes W_x x_t + b of all steps in one product, so that the loop holds only what must be in it.

    Args:
        input_size, feed_size, hidden_size: sizes of x, f, h; feed_size 0 for none.
        layer_norm: normalise the gate sums and the shown cell.
    Shape: projected (B, 4 H), feed (B, feed_size) or None, state two of (B, H) -> the new state.
    """

    def __init__(self, input_size: int, feed_size: int, hidden_size: int, *, layer_norm: bool = False) -> None:
        super().__init__()
        gates = 4 * hidden_size
        self.hidden_size, self.feed_size, self.layer_norm = hidden_size, feed_size, layer_norm
        self.weight_x = nn.Parameter(torch.empty(gates, input_size))
        self.weight_f = nn.Parameter(torch.empty(gates, feed_size)) if feed_size else None
        self.weight_h = nn.Parameter(torch.empty(gates, hidden_size))
        self.bias = nn.Parameter(torch.empty(gates))
        sizes = (gates, gates, hidden_size, hidden_size)
        self.gain_x, self.gain_h, self.gain_c, self.bias_c = (
            nn.Parameter(torch.empty(size)) if layer_norm else None for size in sizes
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights U(-1/sqrt(H), 1/sqrt(H)), gains 1, biases 0 but 1 for the forget gate."""
        bound, H = 1 / math.sqrt(self.hidden_size), self.hidden_size
        for name, parameter in self.named_parameters():
            if name.startswith("weight"):
                nn.init.uniform_(parameter, -bound, bound)
            else:
                nn.init.constant_(parameter, float(name.startswith("gain")))
        with torch.no_grad():
            self.bias[H : 2 * H] = 1.0

    def project(self, x: Tensor) -> Tensor:
        """Return the known part of the gate sums, (..., input_size) -> (..., 4 H)."""
        return F.linear(x, self.weight_x, None if self.layer_norm else self.bias)

    def forward(self, projected: Tensor, feed: Tensor | None, state: State) -> State:
        """Return the state after one step."""
        h, c = state
        sums = projected
        if self.weight_f is not None:
            assert feed is not None
            sums = sums + F.linear(feed, self.weight_f)
        recurrent = F.linear(h, self.weight_h)
        if self.layer_norm:
            size = (4 * self.hidden_size,)
            sums = F.layer_norm(sums, size, self.gain_x, self.bias)
            recurrent = F.layer_norm(recurrent, size, self.gain_h)
        i, f, g, o = (sums + recurrent).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        shown = F.layer_norm(c, (self.hidden_size,), self.gain_c, self.bias_c) if self.layer_norm else c
        return o.sigmoid() * shown.tanh(), c
