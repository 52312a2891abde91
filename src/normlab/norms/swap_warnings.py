"""Warnings about a swap: what changes beyond the scheme, one line for each kind."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from normlab.norms.base import Norm, values_per_statistic
from normlab.norms.group import GroupNorm
from normlab.norms.norm_layer import axes_of
from normlab.norms.successor import Successor
from normlab.norms.swap_report import listed
from normlab.plurals import plural

_STATE_HOOKS = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def warnings_about(successors: list[Successor], has_example: bool) -> list[str]:
    """Return the lines, each with the names of the layers that it is about."""
    lines = []
    new_parameters = [name for s in successors for name in s.new_parameters]
    if new_parameters:
        lines.append(
            f"{plural(len(new_parameters), 'new parameter')} ({listed(new_parameters)}): an optimiser built before "
            "the swap never moves them, so build it afterwards"
        )
    for applies, text in _KINDS:
        paths = [s.path or "the layer" for s in successors if applies(s)]
        if paths:
            lines.append(f"{text} ({plural(len(paths), 'layer')}: {listed(paths)})")
    if has_example:
        unseen = [s.path for s in successors if not s.shapes]
        if unseen:
            lines.append(f"the example did not reach {len(unseen)} of the replaced layers ({listed(unseen)})")
    else:
        paths = [s.path or "the layer" for s in successors if _may_leave_nothing(s)]
        if paths:
            lines.append(
                f"each mean runs over one channel ({plural(len(paths), 'layer')}: {listed(paths)}), so of inputs of "
                "one "
                "position, as (N, C) or 1x1 maps, nothing is left but the bias; an example= shows whether there are any"
            )
    return lines


def _may_leave_nothing(s: Successor) -> bool:
    """Whether that can happen: a group norm that is instance norm in truth, or features (N, C) as input."""
    is_alone = _values_of_one_sample(s.module, (1, s.old.num_channels, 1, 1)) == 1
    is_group = isinstance(s.module, GroupNorm | nn.GroupNorm)
    return is_alone and (is_group or s.old.axes == axes_of(nn.BatchNorm1d))


def _leaves_nothing(s: Successor) -> bool:
    return any(_values_of_one_sample(s.module, shape) == 1 for shape in s.shapes)


def _values_of_one_sample(new: nn.Module, shape: tuple[int, ...]) -> int:
    """Return over how many values one mean runs, 0 where that depends on the batch or is not known."""
    if isinstance(new, Norm):
        return 0 if new.batch_dependent else values_per_statistic(new, shape)
    positions = math.prod(shape[2:])
    if isinstance(new, nn.GroupNorm):
        return positions * new.num_channels // new.num_groups
    return positions if isinstance(new, nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d) else 0


def _starts_estimates_anew(s: Successor) -> bool:
    return getattr(s.module, "running_mean", None) is not None and not s.old.keeps_batch_estimates


def _drops_instance_estimates(s: Successor) -> bool:
    return s.old.kind == "instance" and getattr(s.old.module, "running_mean", None) is not None


def _leaves_a_process_group(s: Successor) -> bool:
    return getattr(s.old.module, "process_group", None) is not None


def _drops_hooks_of_its_state(s: Successor) -> bool:
    return any(getattr(s.old.module, key, None) for key in _STATE_HOOKS)


def _activates(module: nn.Module) -> bool:
    return isinstance(module, Norm) and module.activates


_KINDS: list[tuple[Callable[[Successor], bool], str]] = [
    (lambda s: bool(s.lost), "weights of another shape than one per channel are not taken over: they start anew"),
    (lambda s: s.old.is_frozen, "frozen batch norms are replaced by a norm that is not: only its weights stay frozen"),
    (_starts_estimates_anew, "running statistics start at mean 0 and variance 1: train before evaluating"),
    (_drops_instance_estimates, "running statistics of instance norms are dropped: evaluation takes each sample's own"),
    (_drops_hooks_of_its_state, "hooks of the state dict are not taken over"),
    (_leaves_a_process_group, "the process group is not taken over: statistics are shared by all processes"),
    (
        lambda s: _activates(s.module) and not _activates(s.old.module),
        "the new layers contain their activation: take out the ReLU that the model has after each",
    ),
    (
        lambda s: _activates(s.old.module) and not _activates(s.module),
        "the old layers contained their activation, which the new ones lack: put one after each",
    ),
    (_leaves_nothing, "each mean runs over one value of the example, which leaves nothing of it but the bias"),
]
