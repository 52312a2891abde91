"""The one way to ask for a fast operation: `result = KERNEL.try_call(...)`; where it is None, the reference runs.

Which implementation answers depends on where the call comes from:

| call | implementation |
|---|---|
| eager, CPU | C++, through `glue.cpp` with its gradients, or through ctypes where an operation has none |
| eager, CUDA | Triton |
| torch.compile | a registered operator, where the operation has one |
| torch.export, torch.func, torch.jit.trace, forward mode, fake tensors, dispatch modes | none |

The last row is decided by `guards.py` for calls from Python, and by `is_plain_call` in `glue.h` for those through the
glue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from normlab.kernels.runtime import build, glue, gpu, guards


class Kernel:
    """One fast operation. `try_call` answers with a result, or with None: then the caller runs its reference.

    An operation's folder makes one object of this class, or of a subclass, for each of its calls. The base class is
    complete for an operation that runs eagerly on CPUs and whose arguments go to the glue as they are.

    Args:
        name: shown by `normlab doctor --kernels`.
        library: `kernels/<library>/<library>.cpp`, which implements it.
        function: the function of the glue that is called; empty for an operation that is called through ctypes.
        symbols: the functions of the library that the glue needs.
    """

    has_triton = False  # whether there is an implementation for GPUs

    def __init__(self, name: str, library: str, function: str = "", symbols: Sequence[str] = ()) -> None:
        self.name = name
        self.library = library
        self.function = function
        self.symbols = tuple(symbols)
        self._run: Callable[..., Any] = self._connect_and_run
        self._refused: tuple[Any, ...] | None = None

    def try_call(self, *arguments: Any) -> Any | None:
        """Return the operation's result, or None where no fast implementation takes these arguments here."""
        if torch.compiler.is_compiling():
            return None
        result = self._run(*arguments)
        return self._try_gpu(*arguments) if result is None else result

    def reason(self) -> str:
        """Return why the kernel cannot run here, or why its last refused call was refused; empty if neither."""
        reason = self.reason_against_cpu()
        if reason or self._refused is None:
            return reason
        dtype, axes, device, why = self._refused
        return why or f"it does not take an input of {dtype} with {axes} axes in this layout on {device}"

    def reason_against_cpu(self) -> str:
        """Return why the C++ implementation cannot run on this machine, empty if it can; builds at the first call."""
        return build.reason(self.library) or (build.reason(build.GLUE) if self.function else "")

    def reason_against_gpu(self) -> str:
        """Return why no Triton implementation runs on this machine, empty if one can."""
        return gpu.reason_against() if self.has_triton else "there is no Triton implementation"

    def example(self) -> tuple[Any, ...]:
        """Return arguments that the kernel takes on a CPU that suits it: `normlab doctor --kernels` calls it once."""
        raise NotImplementedError

    def example_options(self) -> dict[str, Any]:
        """Return the keyword arguments that go with `example`."""
        return {}

    def run_on_gpu(self, *arguments: Any) -> Any | None:
        """Run on CUDA tensors; an operation with a Triton implementation overrides this."""
        return None

    def prepare(self, module: Any) -> None:
        """Tell the glue what else this operation needs, before its first call."""

    def refuse(self, x: Tensor, why: str = "") -> Any | None:
        """Remember that a call was refused, and answer None. Only facts are stored: `reason` makes words of them."""
        self._refused = (x.dtype, x.dim(), x.device.type, why or guards.observer())
        return None

    def _try_gpu(self, *arguments: Any) -> Any | None:
        x = arguments[0]
        if x.is_cuda and not gpu.reason_against() and guards.allows_kernel(*tensors_in(arguments)):
            result = self.run_on_gpu(*arguments)
            if result is not None:
                return result
        return self.refuse(x)

    def _connect_and_run(self, *arguments: Any) -> Any | None:
        module = None if self.reason_against_cpu() else glue.connected(self.library, self.symbols)
        if module is None:
            self._run = _refuse_all
        else:
            self.prepare(module)
            self._run = getattr(module, self.function)
        return self._run(*arguments)


def _refuse_all(*arguments: Any) -> None:
    return None


def tensors_in(arguments: Sequence[Any]) -> Iterator[Tensor]:
    """Yield the tensors among arguments and in the tuples and lists among them."""
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, (tuple, list)):
            yield from tensors_in(argument)
