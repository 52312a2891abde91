"""Jobs on this machine: several worker processes, replaced when they die, which end in bounded time.

There is one thread, one loop and no lock. The loop waits for pipes and processes for half a second at most, so it sees
every end, every signal and every deadline. An interrupt (Ctrl-C, `kill`) is noted by its handler and acted on by the
loop, never raised in the middle of it: workers are asked to stop, then terminated, then killed, and only then it goes
on as the exception that it was.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from types import FrameType, TracebackType
from typing import Any, Self

from normlab.errors import UserError
from normlab.studies.workers import Answer, Worker

_LOOK_EVERY = 0.5  # seconds
_START = 300.0  # seconds for a process to start: imports on a busy machine or a slow disk
_LOST = 3  # processes in a row that end with nothing to do, before it is no accident
_GIVE_UP = 8.0  # seconds after which a worker that was asked to end is left behind


@dataclass(frozen=True)
class Job:
    """One call for a worker; what it names must be importable there."""

    function: Callable[..., Any]
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Died:
    """What a job ends with if its worker died.

    Attributes:
        exit_code: of the process; negative for a signal.
    """

    exit_code: int | None

    def __str__(self) -> str:
        if self.exit_code is None or self.exit_code >= 0:
            return f"the worker process died (exit code {self.exit_code})"
        try:
            name = signal.Signals(-self.exit_code).name
        except ValueError:
            name = f"signal {-self.exit_code}"
        return f"the worker process died ({name}{': out of memory?' if name == 'SIGKILL' else ''})"


Ended = Callable[[int, Any, float], None]  # (number of the job, its value or Died, seconds)


def run_jobs(jobs: Sequence[Job], *, workers: int, threads: int, ended: Ended) -> None:
    """Make every job's call in one of some processes; `ended` is called with each as it ends.

    Args:
        workers: processes at once.
        threads: of each process's computations.
    Raises: what a call raised, what `ended` raised, or the interrupt that came meanwhile; after all processes have
        ended. An interrupt that finds every job over has nothing to end and is dropped.
    """
    with Interrupts() as interrupts:
        supervisor = _Supervisor(jobs, threads, ended, interrupts)
        try:
            supervisor.run(min(workers, len(jobs)))
        finally:
            supervisor.stop()
        if supervisor.unfinished and interrupts.error is not None:
            raise interrupts.error


class Interrupts:
    """Keeps what the handlers of signals raise, for as long as the block runs.

    Attributes:
        error: the first exception; None as long as there is none.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python's handlers run nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._keep)
        return self

    def _keep(self, number: int, frame: FrameType | None) -> None:
        try:
            self._handlers[number](number, frame)
        except BaseException as error:
            self.error = self.error or error

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


class _Supervisor:
    """Hands jobs to workers and takes their answers."""

    def __init__(self, jobs: Sequence[Job], threads: int, ended: Ended, interrupts: Interrupts) -> None:
        self.jobs, self.threads, self.ended, self.interrupts = jobs, threads, ended, interrupts
        self.waiting = deque(range(len(jobs)))
        self.unfinished = len(jobs)
        self.working: dict[Worker, tuple[int, float]] = {}  # worker -> its job, and since when
        self.starting: dict[Worker, float] = {}  # worker -> since when
        self.idle: list[Worker] = []
        self.leaving: list[Worker] = []
        self.lost = 0  # since the last job that ended

    def run(self, count: int) -> None:
        """Work until no job is left, or an interrupt comes."""
        while self.unfinished and self.interrupts.error is None:
            self._hand_out(count)
            self._wait()
            for worker in [*self.starting, *self.working]:
                self._look_at(worker)
            self._enforce_ends()

    def stop(self) -> None:
        """End all workers; take the answers of those that have one yet."""
        for worker in [*self.starting, *self.idle]:
            self._end_worker(worker)
        for worker in self.working:
            worker.stop()
        end = time.monotonic() + _GIVE_UP
        while (self.working or self.leaving) and time.monotonic() < end:
            self._wait()
            for worker in list(self.working):
                worker.enforce()
                with suppress(Exception):  # the study ends already, by an earlier exception
                    self._look_at(worker)
            self._enforce_ends()
        for worker in [*self.working, *self.leaving]:
            worker.kill()

    def _hand_out(self, count: int) -> None:
        while self.waiting and self.idle:
            worker, number = self.idle.pop(), self.waiting.popleft()
            try:
                worker.call(self.jobs[number].function, *self.jobs[number].args)
            except OSError:  # it has ended since its last answer, or stands still
                self.waiting.appendleft(number)
                self._lose(worker)
            else:
                self.working[worker] = (number, time.perf_counter())
        for _ in range(min(len(self.waiting), count - len(self.working)) - len(self.starting)):
            self.starting[Worker(self.threads)] = time.monotonic()
        if not self.waiting:
            for worker in [*self.starting, *self.idle]:
                self._end_worker(worker)

    def _wait(self) -> None:
        workers = [*self.starting, *self.working, *self.leaving]
        wait([thing for worker in workers for thing in worker.waitables], timeout=_LOOK_EVERY)

    def _look_at(self, worker: Worker) -> None:
        """Take what a worker has said, or see that it has ended or does not start."""
        alive = worker.alive  # before the answer: what it said last is there when it has ended
        try:
            answer = worker.answer()
        except (EOFError, OSError):
            worker.kill()
            answer, alive = None, False
        if worker in self.working:
            if answer is not None:
                self._take(worker, answer)
            elif not alive:
                number, since = self.working.pop(worker)
                worker.close()
                self._end(number, Died(worker.exit_code), since)
        elif worker.ready:
            self.starting.pop(worker)
            self.idle.append(worker)
        elif not alive or time.monotonic() - self.starting[worker] > _START:
            self.starting.pop(worker)
            self._lose(worker)

    def _lose(self, worker: Worker) -> None:
        """Give up a worker without a job."""
        worker.kill()
        worker.close()
        self.lost += 1
        if self.lost == _LOST and self.interrupts.error is None:
            raise UserError(
                f"no worker process could be started (exit code {worker.exit_code}): a script that runs a study needs "
                "its calls below `if __name__ == '__main__':`"
            )

    def _take(self, worker: Worker, answer: Answer) -> None:
        number, since = self.working.pop(worker)
        self.idle.append(worker)
        self.lost = 0
        if self.interrupts.error is not None or answer.kind == "interrupted":
            self._end_worker(worker)
        if answer.kind == "interrupted":  # by a signal that reached the worker alone, if none came here
            self.interrupts.error = self.interrupts.error or KeyboardInterrupt()
        elif answer.kind == "error":
            raise answer.value
        else:
            self._end(number, answer.value, since)

    def _end(self, number: int, value: Any, since: float) -> None:
        if isinstance(value, Died) and self.interrupts.error is not None:
            return  # killed because it did not stop; its job is done again in the next run
        self.unfinished -= 1
        self.ended(number, value, time.perf_counter() - since)

    def _end_worker(self, worker: Worker) -> None:
        self.starting.pop(worker, None)
        if worker in self.idle:
            self.idle.remove(worker)
        worker.end()
        self.leaving.append(worker)

    def _enforce_ends(self) -> None:
        """Terminate, then kill, workers that were asked to end."""
        for worker in list(self.leaving):
            worker.enforce()
            if not worker.alive:
                self.leaving.remove(worker)
                worker.close()
