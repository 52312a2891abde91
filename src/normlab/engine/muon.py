"""Muon: momentum whose update of a matrix is replaced by the nearest orthogonal one, and Adam for everything else.

A gradient's large singular values are few, so a plain step moves a matrix along few directions. The orthogonal matrix
nearest to the momentum, U V^T of its decomposition U S V^T, moves it equally along all (Jordan et al. 2024, "Muon: an
optimizer for hidden layers in neural networks"). It takes the hidden layers' matrices only: a convolution's filters are
rows of a matrix; vectors, tables of embeddings and the output layer go by AdamW, as its authors advise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from normlab.engine.own_steps import loss_of, without_gradients
from normlab.engine.quick_optimizers import QuickAdam

# One iteration maps a singular value s to a s + b s^3 + c s^5. These (Jordan's) raise small ones fastest and leave all
# between 0.7 and 1.2 after a few iterations: nearly orthogonal is enough.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 4
_HIDDEN = (nn.Linear, nn.modules.conv._ConvNd)


class Muon(QuickAdam):
    """Muon on the groups with `orthogonal: True`, AdamW on the others.

    For a matrix W of m rows (a convolution's filters, each flattened) and n columns, with gradient G:

        M = momentum M + G,  D = G + momentum M (Nesterov),  W -= lr sqrt(max(1, m / n)) orthogonal(D)

    With `on_sphere: True` W is first scaled to the Frobenius norm sqrt(m). A layer with a norm behind it computes the
    same at any scale, and the size of its relative step is then the learning rate's alone.

    Args:
        groups: each with "params" and the flags; `lr` of a group may differ.
        lr, weight_decay: of AdamW. Muon's groups decay in the same way (decoupled), unless they are on the sphere.
        momentum: of Muon.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, weight_decay: float, momentum: float) -> None:
        groups = [{"orthogonal": False, "on_sphere": False, **group, "momentum": momentum} for group in groups]
        super().__init__(
            groups, lr=lr, weight_decay=weight_decay, betas=(0.9, 0.95), decoupled_weight_decay=True, fused=True
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; `closure` reevaluates the model and returns the loss."""
        loss = loss_of(closure)
        moved: list[nn.Parameter] = []
        for group in self.param_groups:
            for parameter in group["params"] if group["orthogonal"] else ():
                if parameter.grad is not None:
                    self._step_matrix(group, parameter, parameter.grad)
                    moved.append(parameter)
        with without_gradients(moved):
            super().step()
        return loss

    def _step_matrix(self, group: dict[str, Any], parameter: nn.Parameter, gradient: Tensor) -> None:
        state, momentum = self.state[parameter], group["momentum"]
        if "momentum_buffer" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32)  # AdamW expects it of every state that it loads
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["step"] += 1
        buffer = state["momentum_buffer"].mul_(momentum).add_(gradient)
        update = orthogonal(gradient.add(buffer, alpha=momentum).flatten(1))
        rows, columns = update.shape
        if group["on_sphere"]:
            parameter.mul_(math.sqrt(rows) / parameter.norm().clamp_min(1e-12))
        elif group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
        parameter.sub_(update.view_as(parameter) * rate)


def orthogonal(matrix: Tensor) -> Tensor:
    """Return nearly the orthogonal matrix next to (m, n), all singular values about 1; zeros for zeros.

    Newton-Schulz iterations: products only, no decomposition.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp_min(1e-12)  # the Frobenius norm is at least the largest singular value
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x.T if tall else x


def takes(module: nn.Module, name: str) -> bool:
    """Say whether Muon moves a module's parameter: the weight of a linear or convolutional layer but the output layer.

    An output layer has the attribute `is_output`; one of a stranger's network, which has not, is moved too.
    """
    return name == "weight" and isinstance(module, _HIDDEN) and not getattr(module, "is_output", False)
