"""torch's fused SGD and Adam on a CPU with less Python around them, and without the import of torch's compiler.

`torch.optim` marks its methods as none of the compiler's business, and imports the compiler to do so: two and a half
seconds of processor time in every process that trains, on a machine where `import torch` itself takes as much. The same
methods without the mark do the same; an optimiser's step is no part of what normlab compiles.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from normlab.engine.own_steps import loss_of

_SGD_STEP = inspect.unwrap(torch.optim.SGD.step)
_STATE_DICT = inspect.unwrap(torch.optim.Optimizer.state_dict)
_LOAD_STATE_DICT = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
_ZERO_GRAD = inspect.unwrap(torch.optim.Optimizer.zero_grad)
_ADD_PARAM_GROUP = inspect.unwrap(torch.optim.Optimizer.add_param_group)


class _WithoutCompiler(torch.optim.Optimizer):
    """The methods of every optimiser, without their mark."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state by number of parameter, and the groups."""
        state: dict[str, Any] = _STATE_DICT(self)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take a state over from `state_dict`."""
        _LOAD_STATE_DICT(self, state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        _ZERO_GRAD(self, set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        _ADD_PARAM_GROUP(self, param_group)


class QuickSGD(_WithoutCompiler, torch.optim.SGD):
    """torch's fused SGD with momentum on a CPU, without the Python work of its step.

    Sorting forty tensors into lists took longer than updating 170,000 weights. Here the lists of parameters and momenta
    are built once. The first step is torch's own, which creates the momenta; so is each step without momentum, or in
    which a parameter has no gradient.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._grouped: list[tuple[dict[str, Any], list[Tensor], list[Tensor]]] | None = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move the parameters by their gradients."""
        groups = self._lists() if closure is None else None
        gradients: list[Any] = [[parameter.grad for parameter in parameters] for _, parameters, _ in groups or ()]
        if groups is None or any(gradient is None for of_group in gradients for gradient in of_group):
            return _SGD_STEP(self, closure)
        for (group, parameters, momenta), of_group in zip(groups, gradients, strict=True):
            torch._fused_sgd_(
                parameters,
                of_group,
                momenta,
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                lr=group["lr"],
                dampening=group["dampening"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
                is_first_step=False,
                grad_scale=None,
                found_inf=None,
            )
        return None

    step.hooked = True  # type: ignore[attr-defined]  # torch would wrap it in a profiler's record, 0.2 ms a step

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients."""
        if not set_to_none:
            super().zero_grad(set_to_none=False)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def load_state_dict(self, state_dict: Any) -> None:
        """Load momenta."""
        super().load_state_dict(state_dict)
        self._grouped = None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters."""
        super().add_param_group(param_group)
        self._grouped = None

    def _lists(self) -> list[tuple[dict[str, Any], list[Tensor], list[Tensor]]] | None:
        """Return each group with its parameters and their momenta; None before there are any."""
        if self._grouped is None:
            grouped = []
            for group in self.param_groups:
                momenta = [self.state.get(parameter, {}).get("momentum_buffer") for parameter in group["params"]]
                if any(momentum is None for momentum in momenta):
                    return None
                grouped.append((group, group["params"], momenta))
            self._grouped = grouped
        return self._grouped


class QuickAdam(_WithoutCompiler, torch.optim.Adam):
    """torch's fused Adam on a CPU, or AdamW with `decoupled_weight_decay`; elsewhere torch's own step."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; `closure` reevaluates the model and returns the loss."""
        loss = loss_of(closure)
        if not all(group["fused"] and is_on_cpu(group["params"]) for group in self.param_groups):
            torch.optim.Adam.step(self)
            return loss
        for group in self.param_groups:
            lists: tuple[list[Tensor], ...] = ([], [], [], [], [], [])
            self._init_group(group, *lists)
            for parameters, gradients, firsts, seconds, largest, steps in _by_type(lists):
                torch._foreach_add_(steps, 1)
                move = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
                move(
                    parameters,
                    gradients,
                    firsts,
                    seconds,
                    largest,
                    steps,
                    lr=group["lr"],
                    beta1=group["betas"][0],
                    beta2=group["betas"][1],
                    weight_decay=group["weight_decay"],
                    eps=group["eps"],
                    amsgrad=group["amsgrad"],
                    maximize=group["maximize"],
                )
        return loss

    step.hooked = True  # type: ignore[attr-defined]  # see `QuickSGD.step`


def is_on_cpu(parameters: list[Tensor]) -> bool:
    """Return whether all parameters are on a CPU."""
    return all(parameter.is_cpu for parameter in parameters)


def _by_type(lists: tuple[list[Tensor], ...]) -> list[tuple[list[Tensor], ...]]:
    """Split parallel lists of tensors by the type of the first, as the fused steps want them."""
    types = dict.fromkeys(parameter.dtype for parameter in lists[0])
    if len(types) < 2:
        return [lists] if types else []
    chosen = [[index for index, parameter in enumerate(lists[0]) if parameter.dtype == dtype] for dtype in types]
    return [tuple([tensors[index] for index in of_type] if tensors else [] for tensors in lists) for of_type in chosen]
