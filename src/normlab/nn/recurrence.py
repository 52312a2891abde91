"""A loop over positions: Python's own, and one operator where a program of any length is exported.

Run eagerly or traced, a loop is as many operations as the input has steps. torch.export with a dynamic length needs the
loop itself in the program: that is torch's `scan`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Carried = tuple[Tensor, ...]
Step = Callable[[Any, Any], tuple[Any, Tensor]]


def recur(step: Step, state: Any, inputs: Carried, *, reverse: bool = False) -> tuple[Any, Tensor | None]:
    """Return the last state and the outputs of `state, output = step(state, inputs of one position)`.

    Args:
        step: takes and returns the state, a tuple of tensors whose shapes stay; the output is one tensor.
        inputs: tensors with the positions on axis 0.
        reverse: start at the last position.
    Returns: the state, and the outputs, stacked in the order of the inputs; None if there is no position.
    """
    if torch.compiler.is_exporting():
        return _scanned(step, state, inputs, reverse)
    positions = list(zip(*(tensor.unbind(0) for tensor in inputs), strict=True))
    outputs = []
    for position in reversed(positions) if reverse else positions:
        state, output = step(state, position)
        outputs.append(output)
    return state, torch.stack(outputs[::-1] if reverse else outputs) if outputs else None


def _scanned(step: Step, state: Any, inputs: Carried, reverse: bool) -> tuple[Any, Tensor]:
    from torch._higher_order_ops.scan import scan

    def dense(state: Any) -> Any:
        """Copies that lie the same way each time: the operator wants a state to keep its layout."""
        return tuple(tensor.clone(memory_format=torch.contiguous_format) for tensor in state)

    def apart(state: Any, position: Any) -> tuple[Any, Tensor]:
        state, output = step(state, position)
        return dense(state), output.clone()  # the operator takes no output that is also a state

    state, outputs = scan(apart, dense(state), inputs, reverse=reverse)
    return state, outputs
