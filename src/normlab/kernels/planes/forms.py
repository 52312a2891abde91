"""What each plane's numbers do to its values: the four functions, in plain operations that autograd differentiates.

A scheme says which function it is, and how its tables follow from each plane's mean and variance. `planes.cpp` has the
same functions; here they stand for it where it may not run, and second derivatives are taken of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from normlab.kernels.runtime.derivatives import register_reference

# tables(mean, var, *parameters) -> the form's tables, each to broadcast to (N, C), then what else the scheme wants
# back. It must have no side effects, and compute in the type of mean and var, (N, C).
Tables = Callable[..., tuple[Tensor, ...]]


class Form(NamedTuple):
    """A function of x and of tables.

    Attributes:
        number: as in planes.cpp.
        tables: how many there are.
        formula: (x, *tables) -> y.
        centred: whether x comes less its plane's mean.
    """

    number: int
    tables: int
    formula: Callable[..., Tensor]
    centred: bool = False


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return x * scale + shift


def _floor(x: Tensor, scale: Tensor, shift: Tensor, floor: Tensor) -> Tensor:
    y = x * scale + shift
    return torch.where(y <= floor, floor, y)


def _swish(x: Tensor, scale: Tensor, shift: Tensor, slope: Tensor) -> Tensor:
    return x * torch.sigmoid(slope * x) * scale + shift


def _quotient(x: Tensor, scale: Tensor, shift: Tensor, flat: Tensor, slope: Tensor, lift: Tensor) -> Tensor:
    line = slope * x + lift
    return x / torch.where(line <= flat, flat, line) * scale + shift


AFFINE = Form(0, 2, _affine)  # y = x * scale + shift
CENTRED = Form(0, 2, _affine, centred=True)  # y = (x - mean) * scale + shift
FLOOR = Form(1, 3, _floor)  # y = max(x * scale + shift, floor)
SWISH = Form(2, 3, _swish)  # y = x * sigmoid(slope * x) * scale + shift
QUOTIENT = Form(3, 5, _quotient)  # y = x / max(flat, slope * x + lift) * scale + shift


def plain_planes(x: Tensor, form: Form, tables: Tables, parameters: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """Return y in the type of x, and, without gradient, what the tables' function returns beside them."""
    wide = x if x.dtype == torch.float64 else x.float()
    mean = wide.mean((2, 3))
    centred = wide - mean[..., None, None]
    var = centred.square().mean((2, 3))
    made = tables(mean, var, *parameters)
    numbers = [table[..., None, None] for table in made[: form.tables]]
    y = form.formula(centred if form.centred else wide, *numbers)
    return y.to(x.dtype), *(extra.detach() for extra in made[form.tables :])


def _reference(inputs: Sequence[Tensor | None], form: Form, tables: Tables) -> tuple[Tensor]:
    x, *parameters = inputs
    assert x is not None
    return (plain_planes(x, form, tables, parameters)[0],)


register_reference("planes", _reference)
