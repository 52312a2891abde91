"""Own kernel or torch's own operation: which of the two computes a call on a CPU.

NORMLAB_KERNELS decides it for a process:

| value | meaning |
|---|---|
| auto | default: both are timed the first time a kind of call is met, some milliseconds; the faster one is kept |
| own | the own kernel, wherever it takes the input |
| torch | torch's own operation, wherever it has one that computes the same in as many digits |
| off | no own kernel at all: the plain references |

Where the own kernel does not take the input at all, torch's operation computes it, under `auto` and `torch`. The
answers lie in the machine's cache (`choice.py`). Those that a run used stand in its card, and a run that is resumed
keeps them, whatever is measured since. With `deterministic: true`, `auto` means `own`.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from normlab.errors import UserError
from normlab.kernels.runtime import build, guards
from normlab.kernels.runtime.choice import Choices, Work, are_fixed, seconds_on_cpu
from normlab.kernels.runtime.kernel import Kernel, tensors_in
from normlab.runs.environment import cpu_name

OWN, TORCH = "own", "torch"
POLICIES = ("auto", OWN, TORCH, "off")
# What is chosen must win by more than the clock's noise: without a clear winner, the own kernel stays.
_CLEARLY_SLOWER = 1.03
_MOST_KEYS = 4096  # of shapes that are remembered without asking the file again


@dataclass
class RunChoices:
    """Operation and family -> OWN or TORCH, of one run; before a process begins one, of the process.

    Attributes:
        used: of all its calls so far in this process.
        kept: those that its card records, if it is resumed.
    """

    used: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)


_runs = [RunChoices()]  # that of the run that computes now


@functools.cache
def policy() -> str:
    """Return what NORMLAB_KERNELS says, read once a process; "auto" if it is unset.

    Raises: UserError for another word.
    """
    if build.are_switched_off():
        return "off"
    value = os.environ.get("NORMLAB_KERNELS", "").strip().lower() or "auto"
    if value not in POLICIES:
        raise UserError(f"NORMLAB_KERNELS={value}: choose one of {', '.join(POLICIES)}")
    return value


@functools.cache
def choices() -> Choices:
    """Return what was measured on this machine's processor."""
    return Choices(f"{cpu_name()} {torch.__version__} {_kernels_digest()}", seconds_on_cpu)


def is_clearly_slower(ratio: float) -> bool:
    """Return whether the own kernel takes so much more time (own / torch's) that torch's operation is chosen."""
    return ratio > _CLEARLY_SLOWER


def used() -> dict[str, str]:
    """Return operation and family -> "own" or "torch", of all calls of this run so far."""
    return dict(sorted(_runs[0].used.items()))


def begin_run(recorded: Mapping[str, str]) -> None:
    """Begin a run, which knows of no other run's choices.

    Args:
        recorded: the choices that its card records if it is resumed: it goes on with them.
    """
    go_on_with(RunChoices(kept={key: value for key, value in recorded.items() if value in (OWN, TORCH)}))


def of_this_run() -> RunChoices:
    """Return the choices of the run that computes now, for `go_on_with`."""
    return _runs[0]


def go_on_with(choices: RunChoices) -> None:
    """Let another run of this process compute from now on."""
    if choices is not _runs[0]:
        _runs[0] = choices
        forget_choices()


def forget_choices() -> None:
    """Let every kernel ask again, at its next call, what was chosen."""
    for contested in ContestedKernel.made:
        contested.forget()


def _kernels_digest() -> str:
    """Return a digest of all kernels' sources: an edited kernel is measured anew."""
    digest = hashlib.sha256()
    for source in sorted(build.SOURCES.rglob("*.[ch]*")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


class ContestedKernel(Kernel):
    """A kernel whose operation torch can compute too.

    A subclass says in `family` which calls are alike, and in `by_torch` how torch computes one.
    """

    made: list[ContestedKernel] = []  # noqa: RUF012  every object registers itself here

    def __init__(self, name: str, library: str, function: str = "", symbols: Sequence[str] = ()) -> None:
        super().__init__(name, library, function, symbols)
        self._prefers_torch: dict[tuple[Any, ...], bool] = {}
        ContestedKernel.made.append(self)

    def key(self, *arguments: Any) -> tuple[Any, ...] | None:
        """Return what tells calls apart, cheaply; None where torch has no equal operation for these arguments."""
        raise NotImplementedError

    def family(self, *arguments: Any) -> str:
        """Return the name under which calls of one speed are measured and recorded."""
        raise NotImplementedError

    def by_torch(self, *arguments: Any) -> Any:
        """Compute the call by torch's own operation; the answer has the form of the kernel's."""
        raise NotImplementedError

    def forget(self) -> None:
        """Ask again, at the next call, what was chosen."""
        self._prefers_torch.clear()

    def try_call(self, *arguments: Any) -> Any | None:
        """Answer by the faster implementation; None where neither may run here, or nothing fast is wanted."""
        return self._answer(self.by_torch, arguments)

    def _answer(self, by_torch: Callable[..., Any], arguments: tuple[Any, ...], wanted: str = "") -> Any | None:
        """Answer by the kernel or `by_torch`; `wanted` tells calls apart that torch computes in another way."""
        if torch.compiler.is_compiling() or not arguments[0].is_cpu:
            return self.call_own(*arguments)
        key = (self.key(*arguments), wanted)
        prefers_torch = self._prefers_torch.get(key)  # the usual call ends below, at once: each line costs microseconds
        if prefers_torch is False and (result := self._run(*arguments)) is not None:
            return result
        if prefers_torch and guards.allows_torch(arguments[0]):
            return by_torch(*arguments)
        chosen = policy()
        if key[0] is None or chosen in (OWN, "off"):
            return self.call_own(*arguments)
        if not guards.allows_kernel(*tensors_in(arguments)):
            return self.call_own(*arguments)
        if prefers_torch is None:
            prefers_torch = self._choose(chosen, key, arguments, by_torch)
        result = None if prefers_torch else self.call_own(*arguments)
        return by_torch(*arguments) if result is None else result

    def call_own(self, *arguments: Any) -> Any | None:
        """Ask the own kernel, as `Kernel.try_call` does."""
        return super().try_call(*arguments)

    def _choose(
        self, chosen: str, key: tuple[Any, ...], arguments: tuple[Any, ...], by_torch: Callable[..., Any]
    ) -> bool:
        _, wanted = key
        family = self.family(*arguments) + (f", {wanted}" if wanted else "")
        name = f"{self.library} {family}"
        answer = _runs[0].kept.get(name)
        if answer is None and (chosen == TORCH or self.reason_against_cpu()):
            answer = TORCH
        elif answer is None and are_fixed():
            answer = OWN
        elif answer is None:
            ratio = choices().ratio(self.library, family, lambda: self._trials(arguments, by_torch))
            answer = TORCH if is_clearly_slower(ratio) else OWN
        if len(self._prefers_torch) >= _MOST_KEYS:
            self._prefers_torch.clear()
        self._prefers_torch[key] = answer == TORCH
        _runs[0].used[name] = answer
        return answer == TORCH

    def _trials(self, arguments: tuple[Any, ...], by_torch: Callable[..., Any]) -> tuple[Work, Work]:
        """Return this call by the kernel and by torch, with its gradients where any is asked for.

        The arguments are copies that belong to no graph; no random number is drawn.
        """
        with_gradient = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors_in(arguments))
        with torch.no_grad():
            copies = detached(arguments)
        leaves = [tensor for tensor in tensors_in(copies) if tensor.requires_grad]

        def call(implementation: Callable[..., Any]) -> None:
            with torch.set_grad_enabled(with_gradient):
                result = implementation(*copies)
                if result is None:
                    raise RuntimeError(self.reason())
                output = result[0] if isinstance(result, tuple) else result
                if with_gradient:
                    torch.autograd.grad(output, leaves, torch.ones_like(output), allow_unused=True)

        return lambda: call(self.call_own), lambda: call(by_torch)


def detached(value: Any) -> Any:
    """Return arguments with leaves of their own in place of the tensors."""
    if isinstance(value, Tensor):
        return value.detach().requires_grad_(value.requires_grad)
    if isinstance(value, (tuple, list)):
        return tuple(map(detached, value))
    return value
