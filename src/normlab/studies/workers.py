"""Worker processes of this machine: fresh interpreters that never outlive the study that started them.

Ctrl-C reaches all processes of a terminal, but `kill`, a batch system or a container's stop reach one alone. So a
worker watches its study: when that stops or is gone, the cell in hand is interrupted, as by Ctrl-C, and says so in its
run folder. Between cells a worker ignores signals; it ends when its executor does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.synchronize import Event
from types import FrameType
from typing import ParamSpec, Self, TypeVar

from normlab.runs.threads import let_idle_threads_sleep

_SPAWN = multiprocessing.get_context("spawn")  # forking after torch has started threads can hang
_LOOK_EVERY = 0.5  # seconds
_GRACE = 30.0  # seconds for an orphan to write down that it was interrupted
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)

P = ParamSpec("P")
R = TypeVar("R")


class Worker:
    """One process that makes one call after the other.

    Args:
        threads: of its computations.
        stop: set it to interrupt the call in hand and refuse further ones; may be shared by several workers.
    """

    def __init__(self, threads: int, stop: Event | None = None) -> None:
        self._executor = ProcessPoolExecutor(1, _SPAWN, _prepare, (threads, stop or new_stop()))

    def submit(self, call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Make a call in the process. Its future raises `KeyboardInterrupt` if it was interrupted."""
        return self._executor.submit(_interruptible, call, *args, **kwargs)

    def shutdown(self) -> None:
        """End the process after the call in hand."""
        self._executor.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()


def new_stop() -> Event:
    """Return what stops workers when it is set."""
    return _SPAWN.Event()


def _prepare(threads: int, stop: Event) -> None:
    """Pin the thread count, let idle OpenMP threads sleep (other cells need the cores), and watch the study."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    let_idle_threads_sleep()
    _ignore_interrupts()
    threading.Thread(target=_end_with_the_study, args=(stop,), daemon=True).start()


def _end_with_the_study(stop: Event) -> None:
    study = multiprocessing.parent_process()
    assert study is not None
    while not stop.wait(_LOOK_EVERY) and study.is_alive():
        pass
    _Study.stopped = True
    os.kill(os.getpid(), signal.SIGTERM)
    while study.is_alive():
        time.sleep(_LOOK_EVERY)
    time.sleep(_GRACE)
    os._exit(1)


class _Study:
    """What a worker knows of its study."""

    stopped = False


def _interruptible(call: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Make a call that the first interrupt ends; later ones let it write down what it has."""
    for number in _INTERRUPTS:
        signal.signal(number, _interrupt)
    try:
        if _Study.stopped:
            raise KeyboardInterrupt
        return call(*args, **kwargs)
    finally:
        _ignore_interrupts()


def _interrupt(number: int, frame: FrameType | None) -> None:
    _ignore_interrupts()
    raise KeyboardInterrupt


def _ignore_interrupts() -> None:
    # Not by SIG_IGN: Python raises OSError for a signal that came just before.
    for number in _INTERRUPTS:
        signal.signal(number, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
