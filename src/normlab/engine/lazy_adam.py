"""Adam that updates only those rows of a table that the batch uses.

Dense Adam reads and writes three numbers for every parameter at every step, so a table of 400,000 word vectors costs
far more than the network above it, although a batch holds a few hundred words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from normlab.engine.own_steps import loss_of, without_gradients
from normlab.engine.quick_optimizers import QuickAdam


class LazyAdam(QuickAdam):
    """Adam (Kingma & Ba 2015, algorithm 1) in which a parameter with a sparse gradient is updated row by row.

    Of such a parameter, weight and both moments change only in the rows that the gradient holds; bias correction goes
    by the number of steps of the whole parameter. If every step uses every row, this equals dense Adam. Otherwise it
    differs: dense Adam keeps moving an unused row along its first moment and decays both moments at every step; here
    neither happens until the row is used again. A rare word therefore keeps its moments, and is not moved by sentences
    that do not hold it.

    Parameters with dense gradients are updated as by `torch.optim.Adam`, whose arguments and state this class shares,
    so a checkpoint of one loads into the other.

    Sparse gradients come from `F.embedding(..., sparse=True)` or `nn.Embedding(..., sparse=True)`.
    Raises: ValueError for weight decay, amsgrad or maximize on a parameter with a sparse gradient: decay is a step of
        all rows.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; `closure` reevaluates the model and returns the loss."""
        loss = loss_of(closure)
        sparse: list[nn.Parameter] = []
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.grad.is_sparse:
                    self._step_rows(group, parameter, parameter.grad.coalesce())
                    sparse.append(parameter)
        with without_gradients(sparse):
            super().step()
        return loss

    def _step_rows(self, group: dict[str, Any], parameter: nn.Parameter, gradient: Tensor) -> None:
        if group["weight_decay"] or group["amsgrad"] or group["maximize"]:
            raise ValueError("a sparse gradient allows neither weight decay nor amsgrad nor maximize")
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        steps = float(state["step"])
        beta1, beta2 = group["betas"]
        rows, values = gradient.indices()[0], gradient.values()
        first = state["exp_avg"].index_select(0, rows).lerp_(values, 1 - beta1)
        second = state["exp_avg_sq"].index_select(0, rows).mul_(beta2).addcmul_(values, values, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, first)
        state["exp_avg_sq"].index_copy_(0, rows, second)
        # theta -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
        scale = second.div_(1 - beta2**steps).sqrt_().add_(group["eps"])
        parameter.index_add_(0, rows, first.div_(scale), alpha=-float(group["lr"]) / (1 - beta1**steps))
