"""What optimisers have in common that move some parameters by a rule of their own, and the others by torch's step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def loss_of(closure: Callable[[], Any] | None) -> Any:
    """Return what a closure returns, gradients on; None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


@contextmanager
def without_gradients(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Hide gradients in the block, so that torch's step passes these parameters over."""
    gradients = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    yield
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
