"""A baseline in a process of its own, without normlab's settings, as its user would run it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from normlab.runs.threads import undecided


class Apart:
    """A step of work that waits in another process until it is timed.

    Args:
        make: returns the step; a class or function that can be imported.
        arguments: of `make`.
        threads: of torch there.
        clock: "cpu" for that process's CPU seconds, or "wall".
    """

    def __init__(self, make: Callable[..., Callable[[], Any]], *arguments: Any, threads: int, clock: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, threads, clock), daemon=True)
        with undecided():
            self._process.start()
        theirs.close()
        self._line.send((make, arguments))

    def timed(self, repeat: int) -> tuple[float, int]:
        """Return the seconds of so many calls, and the sum of what they returned (0 for None)."""
        self._line.send(repeat)
        measured: tuple[float, int] = self._line.recv()
        return measured

    def close(self) -> None:
        """End the process."""
        self._line.close()
        self._process.join()

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _serve(line: Connection, threads: int, clock: str) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    now = time.process_time if clock == "cpu" else time.perf_counter
    try:
        make, arguments = line.recv()
        step = make(*arguments)
        while True:
            repeat = line.recv()
            start = now()
            done = sum(step() or 0 for _ in range(repeat))
            line.send((now() - start, done))
    except EOFError:  # the other side has closed
        return
