"""Gradients through a kernel's reference, where the compiled ones cannot be used.

A compiled backward pass is a first derivative of plain tensors. Where it is to be differentiated again
(create_graph=True), or runs inside a transform (is_grads_batched=True, forward mode over reverse mode), the operation
is computed anew by its plain PyTorch reference, which autograd differentiates. `nn` registers the references, because
kernels import nothing above them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Reference = Callable[..., tuple[Tensor, ...]]
_references: dict[str, Reference] = {}


def register_reference(operation: str, reference: Reference) -> None:
    """Say what computes an operation in plain PyTorch: `reference(inputs, *options) -> outputs`."""
    _references[operation] = reference


def gradients(
    operation: str, inputs: Sequence[Tensor | None], grads: Sequence[Tensor], *options: Any
) -> tuple[Tensor | None, ...]:
    """Return the gradient of each input, None where none is needed; with a graph of their own if grad mode is on.

    Args:
        inputs: what the reference takes.
        grads: one for each of its outputs.
        options: passed on to it.
    """
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        # A view each: of two inputs that are one tensor, each has a gradient of its own.
        views = [None if tensor is None else tensor.view_as(tensor) for tensor in inputs]
        outputs = _references[operation](views, *options)
        leaves = [view for view in views if view is not None and view.requires_grad]
        computed = iter(torch.autograd.grad(outputs, leaves, list(grads), create_graph=create_graph, allow_unused=True))
    return tuple(next(computed) if view is not None and view.requires_grad else None for view in views)
