"""Schemes whose numbers of each plane are no plain norm's, without writing a map at each step: see planes.cpp.

A scheme gives its tables as a function of each plane's mean and variance, in a few operations on (N, C) numbers that
autograd differentiates; the kernel does what is done to maps. So a new scheme of this kind needs no kernel of its own.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normlab.kernels.planes.forms import CENTRED, Form, Tables
from normlab.kernels.runtime import derivatives, guards
from normlab.kernels.runtime.build import load
from normlab.kernels.runtime.kernel import Kernel

_TYPES = (torch.float32, torch.bfloat16)


class PlanesKernel(Kernel):
    """`PLANES.try_call(x, form, tables, parameters, residual, relu)` -> y and the scheme's extras."""

    def try_call(
        self,
        x: Tensor,
        form: Form,
        tables: Tables,
        parameters: Sequence[Tensor | None],
        residual: Tensor | None = None,
        relu: bool = False,
    ) -> tuple[Tensor, ...] | None:
        """Return relu?(form(x, *tables(mean, var, *parameters)) + residual?).

        Args:
            x: (N, C, H, W) float32 or bfloat16, contiguous as NCHW or channels_last, not empty.
            form: what the tables do to x.
            tables: called with the mean and biased variance of each plane, float64 (N, C), and the parameters.
            parameters: what else the tables are made of; they get gradients.
            residual: like x, or None.
            relu: whether a ReLU comes last; an affine form's only.

        Returns: y like x, and, without gradient, what `tables` returns beside the form's.
        """
        if torch.compiler.is_compiling():
            return None
        if not _takes(x, residual, parameters) or (relu and form.number):
            return self.refuse(x)
        if not torch.is_grad_enabled():
            return _run(x, residual, form, tables, relu, parameters, needs_gradient=False)[0]
        answer: tuple[Tensor, ...] = _Planes.apply(x, residual, form, tables, relu, *parameters)
        return answer

    def example(self) -> tuple[Any, ...]:
        """See `Kernel.example`."""
        return torch.zeros(2, 16, 8, 8), CENTRED, lambda mean, var: (var, mean), ()


def _takes(x: Tensor, residual: Tensor | None, parameters: Sequence[Tensor | None]) -> bool:
    return (
        x.dtype in _TYPES
        and x.dim() == 4
        and x.is_cpu
        and x.numel() > 0
        and guards.allows_kernel(x, residual, *parameters)
        and (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last))
        and (residual is None or (residual.dtype == x.dtype and residual.shape == x.shape and residual.is_cpu))
        and _library() is not None
    )


class _Numbers(ctypes.Structure):
    """A table to broadcast to (N, C), as planes.cpp reads it."""

    _fields_ = (("values", ctypes.c_void_p), ("by_sample", ctypes.c_int64), ("by_channel", ctypes.c_int64))

    @classmethod
    def of(cls, table: Tensor | None, shape: torch.Size) -> _Numbers:
        return cls(None, 0, 0) if table is None else cls(table.data_ptr(), *table.expand(shape).stride())


class _Map:
    """A map as planes.cpp takes it."""

    def __init__(self, x: Tensor) -> None:
        N, C, H, W = x.shape
        # A 1x1 map lies both ways; as NHWC it is one long row a sample.
        self.nhwc = not x.is_contiguous() or H * W == 1
        self.layout = torch.channels_last if self.nhwc else torch.contiguous_format
        self.shape = (N, C, H * W, x.dtype == torch.bfloat16, self.nhwc)

    def like(self, tensor: Tensor) -> Tensor:
        return tensor.contiguous(memory_format=self.layout)


class _Made(NamedTuple):
    """What the tables were made of and became: leaves, and a graph of small operations that ends in the tables."""

    leaves: list[Tensor | None]  # mean, var and the parameters
    tables: tuple[Tensor, ...]
    numbers: Any  # the same as the kernel reads them, the mean first


def _run(
    x: Tensor,
    residual: Tensor | None,
    form: Form,
    tables: Tables,
    relu: bool,
    parameters: Sequence[Tensor | None],
    *,
    needs_gradient: bool,
) -> tuple[tuple[Tensor, ...], _Made]:
    library, at = _library(), _Map(x)
    mean, var = torch.empty(2, *x.shape[:2], dtype=torch.float64).unbind()
    library.planes_moments(*at.shape, x.data_ptr(), mean.data_ptr(), var.data_ptr())
    leaves = [None if value is None else value.detach() for value in (mean, var, *parameters)]
    if needs_gradient:
        leaves = [leaf.requires_grad_() if leaf is not None and leaf.is_floating_point() else leaf for leaf in leaves]
    with torch.set_grad_enabled(needs_gradient):
        answers = tables(*leaves)
        made = tuple(table.to(mean.dtype) for table in answers[: form.tables])
    shape = mean.shape
    listed = [_Numbers.of(mean if form.centred else None, shape), *(_Numbers.of(table, shape) for table in made)]
    numbers = (_Numbers * len(listed))(*listed)
    y = torch.empty_like(x)
    added = None if residual is None else at.like(residual)
    pointer = None if added is None else added.data_ptr()
    library.planes_apply(*at.shape, form.number, relu, x.data_ptr(), pointer, numbers, y.data_ptr())
    return (y, *(extra.detach() for extra in answers[form.tables :])), _Made(leaves, made, numbers)


class _Planes(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, residual: Tensor | None, form: Form, tables: Tables, relu: bool, *parameters: Tensor | None
    ) -> tuple[Tensor, ...]:
        needs_gradient = any(ctx.needs_input_grad)
        answers, made = _run(x, residual, form, tables, relu, parameters, needs_gradient=needs_gradient)
        ctx.mark_non_differentiable(*answers[1:])
        ctx.set_materialize_grads(False)
        if needs_gradient:
            ctx.save_for_backward(x, answers[0] if relu else None, *parameters)
            ctx.form, ctx.tables, ctx.made = form, tables, made
        return answers

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        x, y, *parameters = ctx.saved_tensors
        form, made = ctx.form, ctx.made
        nothing = (None, None, None)
        if grad is None:
            return (None, None, *nothing, *(None for _ in parameters))
        wants_x, wants_residual = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled() or not guards.allows_kernel(grad):
            masked = grad if y is None else grad * (y > 0)
            slopes = derivatives.gradients("planes", (x, *parameters), (masked,), form, ctx.tables)
            return (slopes[0], masked if wants_residual else None, *nothing, *slopes[1:])
        library, at = _library(), _Map(x)
        g = at.like(grad)
        masked = g if y is None else torch.empty_like(x)
        signs = (None, None) if y is None else (y.data_ptr(), masked.data_ptr())
        shape = x.shape[:2]
        sums = torch.empty(form.tables + 1, *shape, dtype=torch.float64)
        library.planes_sums(*at.shape, form.number, x.data_ptr(), g.data_ptr(), *signs, made.numbers, sums.data_ptr())
        shift, scale, *others, by_centre = sums.unbind()
        by_mean, by_var, *by_parameters = _through_tables(made, (scale, shift, *others))
        dx = None
        if wants_x:
            dx = masked if y is not None and not wants_residual else torch.empty_like(x)
            flowing = (_Numbers.of(by_mean, shape), _Numbers.of(by_var, shape))
            centre = by_centre.data_ptr() if form.centred else None
            pointers = (made.leaves[0].data_ptr(), *map(ctypes.byref, flowing), centre, dx.data_ptr())
            library.planes_combine(*at.shape, form.number, x.data_ptr(), masked.data_ptr(), made.numbers, *pointers)
        return (dx, masked if wants_residual else None, *nothing, *by_parameters)


def _through_tables(made: _Made, by_tables: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the gradients of mean, var and the parameters, from those of the tables, (N, C)."""
    pairs = zip(made.tables, by_tables, strict=True)
    graphs = [(table, slope.sum_to_size(table.shape)) for table, slope in pairs if table.requires_grad]
    leaves = [leaf for leaf in made.leaves if leaf is not None and leaf.requires_grad]
    if not graphs:
        return [None] * len(made.leaves)
    outputs, slopes = zip(*graphs, strict=True)
    found = iter(torch.autograd.grad(outputs, leaves, slopes, retain_graph=True, allow_unused=True))
    return [next(found) if leaf is not None and leaf.requires_grad else None for leaf in made.leaves]


@functools.cache
def _library() -> Any:
    """Return the loaded library with its signatures declared, or None where it is unavailable."""
    library = load("planes")
    if library is not None:
        map_of, pointer = [*[ctypes.c_int64] * 3, *[ctypes.c_int] * 2], ctypes.c_void_p
        for name, arguments in (
            ("planes_moments", [pointer] * 3),
            ("planes_apply", [ctypes.c_int, ctypes.c_int, *[pointer] * 4]),
            ("planes_sums", [ctypes.c_int, *[pointer] * 6]),
            ("planes_combine", [ctypes.c_int, *[pointer] * 8]),
        ):
            function = getattr(library, name)
            function.argtypes, function.restype = [*map_of, *arguments], None
    return library


PLANES = PlanesKernel("functions of each plane", "planes")
