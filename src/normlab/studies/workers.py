"""Worker processes of this machine: fresh interpreters that never outlive the process that started them.

A worker has two pipes and shares nothing else: calls and answers go over one, and the other only says "stop". So
whoever owns a worker never waits for it without a deadline, and a process that dies can take no lock with it.

Ctrl-C reaches all processes of a terminal, but `kill`, a batch system or a container's stop reach one alone. A worker
that is asked to stop, by its owner or by a signal, interrupts its call as Ctrl-C does, so that the run folder records
it; between calls it ignores signals. If its owner is gone, the kernel ends it (Linux), or its second pipe does.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, Literal

from normlab.runs.threads import let_idle_threads_sleep

_SPAWN = multiprocessing.get_context("spawn")  # forking after torch has started threads can hang
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
_TERMINATE_AFTER, _KILL_AFTER = 2.0, 6.0  # seconds after a worker was asked to end
_ORPHAN = 3.0  # seconds for a worker without an owner to write down that it was interrupted
_TRANSFER = 10.0  # seconds for a process to take a call or give an answer, once it has begun to
_READY = "ready"


@dataclass(frozen=True)
class Answer:
    """How a call ended: its value, the exception that it raised, or nothing if it was interrupted."""

    kind: Literal["value", "error", "interrupted"]
    value: Any = None


class Worker:
    """One process that makes one call after the other. No method waits longer than a moment.

    Args:
        threads: of its computations.

    Attributes:
        ready: it has started and said so.
    """

    def __init__(self, threads: int) -> None:
        self.ready = False
        self._end_since: float | None = None  # when it was asked to end
        self._calls, calls = _SPAWN.Pipe()
        stop, self._stop = _SPAWN.Pipe(duplex=False)
        _bound_transfers(self._calls)
        self._process = _SPAWN.Process(target=_serve, args=(calls, stop, threads))
        with _interrupts_held():  # a signal before the worker can handle it is delivered once it can
            self._process.start()
        calls.close()
        stop.close()

    @property
    def waitables(self) -> list[Any]:
        """What becomes ready when there is an answer, or the process has ended."""
        return [self._process.sentinel] if self._calls.closed else [self._calls, self._process.sentinel]

    @property
    def alive(self) -> bool:
        """True until the process has ended."""
        return self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        """As of `multiprocessing`: negative for a signal; None while it is alive."""
        return self._process.exitcode

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Hand over a call; its answer comes with `answer`. Raises: OSError if the process does not take it."""
        self._calls.send((function, args))

    def answer(self) -> Answer | None:
        """Return what the process has said, or None; raise `OSError` or `EOFError` if it can say nothing any more."""
        while not self._calls.closed and self._calls.poll():
            message = self._calls.recv()
            if message != _READY:
                assert isinstance(message, Answer)
                return message
            self.ready = True
        return None

    def stop(self) -> None:
        """Interrupt the current call and end the process. Keep calling `enforce` until it is not `alive`."""
        if self._end_since is None:
            self._end_since = time.monotonic()
            with suppress(OSError):
                self._stop.send_bytes(b"stop")

    def end(self) -> None:
        """End the process, which has no call. Keep calling `enforce` until it is not `alive`."""
        self._end_since = self._end_since or time.monotonic()
        self._calls.close()

    def enforce(self) -> None:
        """Terminate, then kill a process that was asked to end long enough ago."""
        if self._end_since is None or not self.alive:
            return
        seconds = time.monotonic() - self._end_since
        if seconds > _KILL_AFTER:
            self._process.kill()
        elif seconds > _TERMINATE_AFTER:
            self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join(1.0)  # a killed process ends unless the kernel itself is stuck

    def close(self) -> None:
        """Let go of the pipes of a process that has ended."""
        self._calls.close()
        self._stop.close()


def _bound_transfers(connection: Connection) -> None:
    """Let reading and writing fail when the other process stands still in the middle of a message."""
    if sys.platform != "win32":
        with socket.socket(fileno=os.dup(connection.fileno())) as handle:
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                handle.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", int(_TRANSFER), 0))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold signals back in this thread, and in processes started meanwhile until they let them through."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What happens in the process


class _State:
    """What a worker knows of its owner."""

    stopped = False


def _serve(calls: Connection, stop: Connection, threads: int) -> None:
    """Make calls until the pipe is closed or the worker is asked to stop."""
    _die_with_the_owner()
    _ignore_interrupts()
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    let_idle_threads_sleep()  # other cells need the cores
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
    with suppress(EOFError, OSError):  # the owner wants no more, or is gone
        calls.send(_READY)
        while not _State.stopped:
            calls.send(_answer(calls))


def _die_with_the_owner() -> None:
    """Ask the kernel for SIGKILL when the thread that started this process is gone, which no C call can delay."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, <linux/prctl.h>
    owner = multiprocessing.parent_process()
    if owner is None or not owner.is_alive():  # gone before the kernel was asked
        os._exit(1)


def _watch(stop: Connection) -> None:
    """Interrupt the current call when asked to stop; end the process by force if the owner is gone."""
    with suppress(EOFError, OSError):
        stop.recv_bytes()
    _State.stopped = True
    os.kill(os.getpid(), signal.SIGTERM)
    with suppress(EOFError, OSError):
        while True:  # an owner that lives sees to the rest
            stop.recv_bytes()
    time.sleep(_ORPHAN)
    os._exit(1)


def _answer(calls: Connection) -> Answer:
    """Take one call and make it."""
    try:
        function, args = calls.recv()
    except (EOFError, OSError):
        raise
    except Exception as error:  # what a call names cannot be imported here
        return _failed(error)
    returned: list[Any] = []
    try:
        with _interruptible():
            returned.append(function(*args))
    except KeyboardInterrupt:
        pass
    except Exception as error:
        return _failed(error)
    return Answer("value", returned[0]) if returned else Answer("interrupted")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise `KeyboardInterrupt` at the first interrupt; later ones let the call write down what it has."""
    try:
        for number in _INTERRUPTS:
            signal.signal(number, _interrupt)
        if _State.stopped:
            raise KeyboardInterrupt
        yield
    finally:
        _ignore_interrupts()


def _failed(error: Exception) -> Answer:
    """Return an answer that holds an exception, with its traceback as a note, in a form that can be sent."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return Answer("error", RuntimeError(error.__notes__[-1]))
    return Answer("error", error)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _ignore_interrupts()
    raise KeyboardInterrupt


def _ignore_interrupts() -> None:
    # Not by SIG_IGN: Python raises OSError for a signal that came just before.
    for number in _INTERRUPTS:
        signal.signal(number, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
