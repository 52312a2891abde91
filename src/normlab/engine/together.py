"""Several runs in one process, a step of each in turn: on a GPU their kernels overlap, and they share the images.

Each run has its own state of torch's global generators, which dropout draws from, its own choices of kernels, and on a
GPU its own stream, so it ends with the same bits as when it runs alone. Its seconds are wall-clock time and include the
turns of the other runs.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch

from normlab.kernels.runtime import contest

Steps = Generator[None, None, Any]


class Lane:
    """A run as a generator that pauses after each step.

    Attributes:
        outcome: what the run returned, or the exception that ended it; None while it goes on.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.outcome: Any = None
        self._random: tuple[torch.Tensor, torch.Tensor | None] | None = None
        self._choices: contest.RunChoices | None = None
        self._stream = torch.cuda.Stream() if torch.cuda.is_available() else None

    def advance(self) -> bool:
        """Run to the next pause; return whether there is more to do."""
        with self._own_state():
            try:
                next(self._steps)
            except StopIteration as end:
                self.outcome = end.value
            except Exception as error:  # the other runs continue
                self.outcome = error
            else:
                return True
        return False

    def interrupt(self) -> None:
        """End the run as if a person had interrupted it."""
        with suppress(KeyboardInterrupt, StopIteration):
            self._steps.throw(KeyboardInterrupt)

    @contextmanager
    def _own_state(self) -> Iterator[None]:
        if self._random is not None:
            _set_random(self._random)
        if self._choices is not None:
            contest.go_on_with(self._choices)
        stream: Any = nullcontext() if self._stream is None else torch.cuda.stream(self._stream)
        with stream:
            yield
        self._random, self._choices = _random_state(), contest.of_this_run()


def train_together(runs: Iterable[Steps], width: int) -> list[Any]:
    """Advance runs a step at a time, `width` of them at once; return each one's result or exception, in order.

    Args:
        runs: generators that pause after each step, such as `engine.running.running`; one is started when another
            has ended.
    Raises: KeyboardInterrupt after interrupting all runs that have started.
    """
    waiting = iter(runs)
    started: list[Lane] = []
    live: list[Lane] = []
    try:
        while True:
            while len(live) < width and (steps := next(waiting, None)) is not None:
                started.append(Lane(steps))
                live.append(started[-1])
            if not live:
                return [lane.outcome for lane in started]
            live = [lane for lane in live if lane.advance()]
    except KeyboardInterrupt:
        for lane in live:
            lane.interrupt()
        raise


def finish(steps: Generator[Any, Any, Any]) -> Any:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _random_state() -> tuple[torch.Tensor, torch.Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None


def _set_random(state: tuple[torch.Tensor, torch.Tensor | None]) -> None:
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])
