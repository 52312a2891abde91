"""When a kernel may run: only where reading and writing plain memory is what was asked for.

A kernel sees addresses. Whatever records, replaces or transforms torch's operations must see those operations instead:
torch.func's transforms, torch.jit.trace, forward-mode differentiation, fake tensors, make_fx, operation counters. There
the caller runs its plain PyTorch reference. glue.h asks the same for the calls that come from C++.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

P = ParamSpec("P")
R = TypeVar("R")


def needs_plain_operations() -> bool:
    """Return whether a norm must consist of torch's own operations, because something looks into it.

    That is so under torch.compile and torch.export, which fuse them themselves, in torch.jit.trace, in transforms of
    torch.func (vmap, grad, jvp ...) and within `torch.autograd.forward_ad.dual_level`.
    """
    return bool(
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state()
        or forward_ad._current_level >= 0
    )


def observer() -> str:
    """Return what looks into torch's operations now, so that no kernel may run; empty if nothing does."""
    if torch._C._are_functorch_transforms_active():
        return "a transform of torch.func (vmap, grad, jvp ...) is active"
    if torch._C._get_tracing_state():
        return "torch.jit.trace records the operations"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation is active"
    return "a mode that sees each operation is active" if torch._C._len_torch_dispatch_stack() else ""


def allows_kernel(*tensors: Tensor | None) -> bool:
    """Return whether a kernel may be called with these tensors now.

    Under torch.compile a kernel is an operator that the compiler calls, which no transform can look into; an exported
    program must not need such operators where it is run.
    """
    if torch.compiler.is_compiling():
        return not (torch._C._are_functorch_transforms_active() or torch.compiler.is_exporting())
    return (
        not needs_plain_operations()
        and not torch._C._len_torch_dispatch_stack()
        and all(tensor is None or _is_its_memory(tensor) for tensor in tensors)
    )


def allows_torch(tensor: Tensor) -> bool:
    """Return, at less cost than `allows_kernel`, whether torch's own operation may stand for a plain reference now.

    Its other tensors need no look: operations of torch's own answer for every kind of tensor.
    """
    return type(tensor) in _PLAIN_TYPES and not (needs_plain_operations() or torch._C._len_torch_dispatch_stack())


_PLAIN_TYPES = (Tensor, nn.Parameter)


def _is_its_memory(tensor: Tensor) -> bool:
    """Return whether a tensor is no subclass that answers for itself, and no transform's wrapper without memory."""
    return type(tensor) in _PLAIN_TYPES and torch._C._has_storage(tensor)


def constant_when_compiled(question: Callable[P, R]) -> Callable[P, R]:
    """Mark a function whose answer stays the same in a process: torch.compile asks it instead of tracing into it.

    That is `torch.compiler.assume_constant_result` without the import of the compiler, which takes seconds.
    """
    question._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return question


def allows_reading(values: Tensor) -> bool:
    """Return whether Python may look at the values of a small tensor, e.g. to refuse a wrong length.

    On an accelerator that would wait for the device; a compiler or a transform has no values yet.
    """
    return values.device.type == "cpu" and not torch.compiler.is_compiling() and allows_kernel(values)
