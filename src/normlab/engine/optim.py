"""The optimiser and the learning rate of each step."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from normlab.engine.lazy_adam import LazyAdam
from normlab.engine.muon import Muon, takes
from normlab.errors import UserError
from normlab.train_config import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimiser over `parameter_groups`.

    Raises: UserError if a gradient is sparse and the update rule also changes rows that it does not hold.
    """
    groups = parameter_groups(model, config)
    shared: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if any(group["sparse"] for group in groups):
        return _sparse_optimizer(groups, config)
    match config.optimizer:
        case "sgd":
            rule = QuickSGD if config.momentum and _is_on_cpu(groups) else torch.optim.SGD
            nesterov = config.nesterov and config.momentum > 0  # a form of momentum: none without
            return rule(groups, **shared, momentum=config.momentum, nesterov=nesterov, fused=True)
        case "adam":
            return torch.optim.Adam(groups, **shared, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, **shared, fused=True)
        case "muon":
            return Muon(groups, **shared, momentum=config.momentum)
        case "adadelta":
            return torch.optim.Adadelta(groups, **shared)
        case "adagrad":
            return torch.optim.Adagrad(groups, **shared)
        case "rmsprop":
            return torch.optim.RMSprop(groups, **shared, momentum=config.momentum)


def _sparse_optimizer(groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
    if any(group["sparse"] and group["weight_decay"] for group in groups):
        raise UserError("weight_decay: changes every row at every step, so rows cannot be updated lazily: set it to 0")
    if config.optimizer in {"adam", "adamw"}:
        decoupled = config.optimizer == "adamw"
        return LazyAdam(groups, lr=config.lr, weight_decay=config.weight_decay, decoupled_weight_decay=decoupled)
    if config.optimizer == "sgd" and config.momentum == 0:
        return torch.optim.SGD(groups, lr=config.lr, weight_decay=config.weight_decay)
    rule = "sgd with momentum" if config.optimizer == "sgd" else config.optimizer
    raise UserError(f"optimizer: {rule} cannot update rows lazily: use adam, adamw, or sgd with --momentum 0")


class QuickSGD(torch.optim.SGD):
    """torch's fused SGD with momentum on a CPU, without the Python work of its step.

    Sorting forty tensors into lists took longer than updating 170,000 weights. Here the lists of parameters and momenta
    are built once. The first step is torch's own, which creates the momenta; so is a step in which a parameter has no
    gradient.
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
            return super().step(closure)
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


def _is_on_cpu(groups: list[dict[str, Any]]) -> bool:
    return all(parameter.is_cpu for group in groups for parameter in group["params"])


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Group the trainable parameters by the options that their module declares.

    A module may define `parameter_options()`, own parameter name -> {"lr_scale": ..., "weight_decay": ..., "sparse":
    ...}; e.g. the gate of batch-instance norm declares ten times the learning rate and no weight decay, an embedding
    with sparse gradients declares those.
    """
    members: dict[tuple[tuple[str, Any], ...], list[nn.Parameter]] = defaultdict(list)
    seen: set[int] = set()
    for module in model.modules():
        declare: Any = getattr(module, "parameter_options", dict)
        declared = declare()
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            options = {"lr_scale": 1.0, "weight_decay": config.weight_decay, "sparse": False, **declared.get(name, {})}
            if config.optimizer == "muon":
                options |= _muon_options(module, name, options["lr_scale"], config)
            members[tuple(options.items())].append(parameter)
    return [{"params": parameters, **dict(options)} for options, parameters in members.items()]


def _muon_options(module: nn.Module, name: str, lr_scale: float, config: TrainConfig) -> dict[str, Any]:
    """Return which of Muon's two rules moves a parameter, at which rate."""
    if takes(module, name):
        return {"orthogonal": True, "on_sphere": bool(getattr(module, "scale_invariant", False))}
    return {"orthogonal": False, "on_sphere": False, "lr_scale": lr_scale * config.lr_rest / config.lr}


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its learning rate, in proportion to its `lr_scale`."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):  # read on the device, see `engine.graphs`
            group["lr"].fill_(lr * group["lr_scale"])
        else:
            group["lr"] = lr * group["lr_scale"]


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step (counted from 0 over the whole run): a pure function, nothing to resume."""
    total = config.epochs * steps_per_epoch
    progress = step / total
    warmup = config.warmup_epochs * steps_per_epoch
    ramp = min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0
    return peak_rate(config) * ramp * _SCHEDULES[config.schedule](config, progress)


def peak_rate(config: TrainConfig) -> float:
    """Return the peak learning rate at the run's batch size; "linear" is the scaling of Goyal et al. 2017, sec. 2.1."""
    return config.lr * (config.batch_size / 128 if config.lr_scaling == "linear" else 1.0)


def _multistep(config: TrainConfig, progress: float) -> float:
    return config.lr_gamma ** sum(progress >= milestone for milestone in config.lr_milestones)


def _one_cycle(config: TrainConfig, progress: float) -> float:
    """Up in a straight line from 1/25 to the peak, down along a cosine (Smith 2018, arXiv 1803.09820)."""
    peak = config.one_cycle_peak
    if progress < peak:
        return 0.04 + 0.96 * progress / peak
    return 0.5 * (1 + math.cos(math.pi * (progress - peak) / (1 - peak)))


_SCHEDULES = {
    "linear": lambda config, progress: 1 - progress,
    "constant": lambda config, progress: 1.0,
    "step": lambda config, progress: config.lr_gamma ** math.floor(progress / config.lr_step),
    "multistep": _multistep,
    "cosine": lambda config, progress: 0.5 * (1 + math.cos(math.pi * progress)),
    "one_cycle": _one_cycle,
}
