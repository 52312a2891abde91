"""Processes that run queries, kept warm: a hard bound on time and memory around SQL that nobody has vetted.

A query that passes its deadline costs its process, which is killed; the next query gets a new one. Each process has one
query at a time, so threads do not wait for each other, and a process forked from this one starts its own.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

MEGABYTES = 256  # of memory beyond what the process has at its start
_GRACE = 0.25  # seconds that the process may need to answer after its own deadline
_START = 120.0  # seconds for a process to start, on a busy machine or a slow disk
_KEPT = 4  # idle processes
_PROGRAM = Path(__file__).with_name("query_process.py")

Reply = dict[str, Any]


def ask(request: Reply) -> Reply:
    """Have one query run; see `query_process.answer` for what goes in and comes out.

    "timeout" and "limit" are also the answer where the process had to be killed, or was, at its memory's bound.
    """
    process = _take()
    try:
        reply = process.ask(request)
    except BaseException:  # an interrupt, between question and answer: the next question must not get this answer
        process.end()
        raise
    if process.alive:
        _keep(process)
    return reply


class _QueryProcess:
    """One process and its pipes.

    Attributes:
        alive: it can be asked again.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(_PROGRAM), str(MEGABYTES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the program that asked
        )
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._ready = False
        self.alive = True
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, request: Reply) -> Reply:
        assert self._process.stdin is not None
        try:
            if not self._ready:
                self._ready = bool(self._lines.get(timeout=_START))
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=request["seconds"] + _GRACE)
        except queue.Empty:
            self.end()
            return {"kind": "timeout", "message": "the query did not end in time"}
        except OSError:
            line = b""
        if not line:
            self.end()
            return {"kind": "limit", "message": "the process that ran it ended at a bound of its memory or time"}
        return json.loads(line)

    def runs(self) -> bool:
        """Return whether the process has not ended."""
        return self._process.poll() is None

    def end(self) -> None:
        """Kill the process."""
        self.alive = False
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._process.wait()

    def _read(self) -> None:
        with suppress(OSError, ValueError):  # closed meanwhile
            for line in self._process.stdout:  # type: ignore[union-attr]
                self._lines.put(line)
        self._lines.put(b"")


_lock = threading.Lock()
_idle: list[_QueryProcess] = []


def _take() -> _QueryProcess:
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.runs():  # not ended meanwhile, by whatever
                return process
            process.end()
    return _QueryProcess()


def _keep(process: _QueryProcess) -> None:
    with _lock:
        if len(_idle) < _KEPT:
            _idle.append(process)
            return
    process.end()


@atexit.register
def close() -> None:
    """End the idle processes."""
    with _lock:
        while _idle:
            _idle.pop().end()


def _leave_to_the_parent() -> None:
    """In a forked process: the pipes are the parent's, and its lock may have been held at that moment."""
    global _lock, _idle
    _lock, _idle = threading.Lock(), []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)
