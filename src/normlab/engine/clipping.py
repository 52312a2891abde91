"""Gradient clipping: of all gradients together by their norm, or of each unit by the size of its weights.

Both run after the backward pass and before the optimiser's step. They read nothing back from the device and keep no
state, so a step with them can be recorded, and a resumed run ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from normlab.errors import UserError
from normlab.train_config import TrainConfig

UNIT_EPS = 1e-3  # lets a unit that starts at zero move at all


def gradient_clipping(
    model: nn.Module, config: TrainConfig, groups: list[dict[str, Any]]
) -> Callable[[], object] | None:
    """Return what clips the gradients of a model's step; None if nothing does.

    Args:
        groups: the optimiser's, which say what has sparse gradients.
    Raises: UserError if units are to be clipped and a gradient is sparse: its rows are not those of the whole table.
    """
    if config.clip_norm is not None:
        parameters, max_norm = list(model.parameters()), config.clip_norm
        return lambda: clip_gradients(parameters, max_norm)
    if config.clip_adaptive is None:
        return None
    if any(group.get("sparse", False) for group in groups):
        raise UserError(
            "clip_adaptive: cannot clip a table of which each step updates some rows only: update all of it "
            "(--embedding-updates dense), or use --clip-norm"
        )
    clipped, factor = units_to_clip(model), config.clip_adaptive
    return lambda: clip_units(clipped, factor)


def units_to_clip(model: nn.Module) -> list[nn.Parameter]:
    """Return the trainable parameters of all layers but the output layer, as Brock et al. 2021, section 4.1, advise.

    Output layers have the attribute `is_output`; in a network without one it is the last linear layer.
    """
    outputs: list[nn.Module] = [module for module in model.modules() if getattr(module, "is_output", False)]
    if not outputs:
        outputs += [module for module in model.modules() if isinstance(module, nn.Linear)][-1:]
    left_out = {id(parameter) for output in outputs for parameter in output.parameters()}
    return [each for each in model.parameters() if each.requires_grad and id(each) not in left_out]


@torch.no_grad()
def clip_units(parameters: list[nn.Parameter], factor: float, eps: float = UNIT_EPS) -> None:
    """Scale, in place, the gradient of each unit that is larger than `factor` times the unit's weights.

    G_i <- factor max(||W_i||, eps) / ||G_i|| G_i  where  ||G_i|| / max(||W_i||, eps) > factor     (Brock et al. 2021,
    eq. 3). ||.|| is the Frobenius norm, computed in float32. A unit i is one row of a parameter's first axis: of a
    linear layer or a convolution, what computes one output. Vectors and scalars (biases, gains) are one unit each.

    The norms of all units stand in one vector: six operations a step beside three for each parameter.
    """
    parameters = [parameter for parameter in parameters if parameter.grad is not None]
    if not parameters:
        return
    gradients: list[Tensor] = [parameter.grad for parameter in parameters]  # type: ignore[misc]
    limit = torch.cat([_unit_norms(parameter) for parameter in parameters]).clamp_min_(eps).mul_(factor)
    norms = torch.cat([_unit_norms(gradient) for gradient in gradients])
    scale = limit.div_(norms).clamp_max_(1.0)  # of a zero gradient: infinity, hence 1
    units = [1 if each.dim() < 2 else len(each) for each in gradients]
    scales = [
        of_units.view(-1, *[1] * (gradient.dim() - 1)) if gradient.dim() else of_units.view(())
        for of_units, gradient in zip(scale.split(units), gradients, strict=True)
    ]
    torch._foreach_mul_(gradients, scales)


def clip_gradients(parameters: list[nn.Parameter], max_norm: float) -> Tensor:
    """Scale all gradients so that their common 2-norm is at most `max_norm`; return the norm before.

    Like `nn.utils.clip_grad_norm_`, and for sparse gradients too: those are coalesced in place, since a row that
    occurs twice counts as the sum of both.
    """
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    sparse = [parameter for parameter in with_gradient if parameter.grad is not None and parameter.grad.is_sparse]
    if not sparse:
        return nn.utils.clip_grad_norm_(with_gradient, max_norm)
    values: list[Tensor] = []
    for parameter in with_gradient:
        assert parameter.grad is not None
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            values.append(parameter.grad.values())
        else:
            values.append(parameter.grad)
    norm = nn.utils.get_total_norm(values)
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch's own
    for value in values:
        value.mul_(factor.to(value.device))
    return norm


def _unit_norms(tensor: Tensor) -> Tensor:
    """Return the norm of each unit of a parameter or gradient, (units,) in float32."""
    rows = tensor.reshape(1, -1) if tensor.dim() < 2 else tensor.flatten(1)
    norms: Tensor = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float32)
    return norms
