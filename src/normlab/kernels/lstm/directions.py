"""One layer of an LSTM from runs over its single directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

State = tuple[Tensor, Tensor]
Runner = Callable[..., tuple[Tensor, State]]


def run_directions(
    run: Runner, x_tbd: Tensor, state: State, weights: Sequence[Any], eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one layer, forwards and with a second set of weights backwards too.

    Args:
        run: `run(x, (h, c), weights, reverse=..., eps=...)` computes one direction: its output and final (h, c).
        x_tbd: (T, B, D).
        state: h and c, (directions, B, P) and (directions, B, H).
        weights: those of each direction.
    Returns: the output (T, B, directions * P), and the final h and c.
    """
    outputs, finals = [], []
    for direction, of_direction in enumerate(weights):
        start = state[0][direction], state[1][direction]
        output, final = run(x_tbd, start, of_direction, reverse=direction == 1, eps=eps)
        outputs.append(output)
        finals.append(final)
    h_n, c_n = (torch.stack(states) for states in zip(*finals, strict=True))
    return torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0], h_n, c_n
