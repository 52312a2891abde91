"""The optimiser and the learning rate of each step."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from normlab.engine.lazy_adam import LazyAdam
from normlab.engine.muon import Muon, takes
from normlab.engine.quick_optimizers import QuickAdam, QuickSGD, is_on_cpu
from normlab.errors import UserError
from normlab.train_config import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimiser over `parameter_groups`.

    Raises: UserError if a gradient is sparse and the update rule also changes rows that it does not hold.
    """
    groups = parameter_groups(model, config)
    shared: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if any(group["sparse"] for group in groups):
        return _sparse_optimizer(groups, config, shared)
    match config.optimizer:
        case "sgd":
            rule = QuickSGD if all(is_on_cpu(group["params"]) for group in groups) else torch.optim.SGD
            nesterov = config.nesterov and config.momentum > 0  # a form of momentum: none without
            return rule(groups, **shared, momentum=config.momentum, nesterov=nesterov, fused=True)
        case "adam" | "adamw":
            return QuickAdam(groups, **shared, decoupled_weight_decay=config.optimizer == "adamw", fused=True)
        case "muon":
            return Muon(groups, **shared, momentum=config.momentum)
        case "adadelta":
            return torch.optim.Adadelta(groups, **shared)
        case "adagrad":
            return torch.optim.Adagrad(groups, **shared)
        case "rmsprop":
            return torch.optim.RMSprop(groups, **shared, momentum=config.momentum)


def _sparse_optimizer(
    groups: list[dict[str, Any]], config: TrainConfig, shared: dict[str, Any]
) -> torch.optim.Optimizer:
    if any(group["sparse"] and group["weight_decay"] for group in groups):
        raise UserError("weight_decay: changes every row at every step, so rows cannot be updated lazily: set it to 0")
    if config.optimizer in {"adam", "adamw"}:
        decoupled = config.optimizer == "adamw"
        return LazyAdam(groups, **shared, decoupled_weight_decay=decoupled, fused=True)
    if config.optimizer == "sgd" and config.momentum == 0:
        return QuickSGD(groups, **shared)
    rule = "sgd with momentum" if config.optimizer == "sgd" else config.optimizer
    raise UserError(f"optimizer: {rule} cannot update rows lazily: use adam, adamw, or sgd with --momentum 0")


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
