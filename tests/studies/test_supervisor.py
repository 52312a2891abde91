"""Jobs in worker processes: every end is seen, and no process, however it behaves, keeps the others from ending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from normlab.errors import UserError
from normlab.studies import supervisor
from normlab.studies.supervisor import Died, Interrupts, Job, run_jobs
from normlab.studies.workers import Worker


def wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


# What workers are given to do


def double(number: int) -> int:
    return 2 * number


def die(how: str) -> None:
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), getattr(signal, how))


def fail() -> None:
    raise KeyError("a key that is not there")


def fail_with_what_cannot_be_sent() -> None:
    class OwnError(Exception):
        pass

    raise OwnError("told anyway")


def leave_a_thread_that_never_ends() -> str:
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "done"


def work_until_interrupted(begun: Path, ended: Path) -> None:
    """Be busy for minutes in small steps, as training is; write down that it was interrupted."""
    try:
        begun.write_text(str(os.getpid()))
        for _ in range(6000):
            time.sleep(0.05)
    except KeyboardInterrupt:
        ended.write_text("interrupted")
        raise


def ignore_interrupts(begun: Path) -> None:
    begun.write_text(str(os.getpid()))
    while True:
        with suppress(KeyboardInterrupt):
            time.sleep(600)


def hold_the_interpreter(begun: Path) -> None:
    """One call into C that lets no other thread and no handler of a signal run."""
    begun.write_text(str(os.getpid()))
    sum(range(10**12))


def run(jobs: list[Job], workers: int = 2) -> dict[int, Any]:
    found: dict[int, Any] = {}
    run_jobs(jobs, workers=workers, threads=1, ended=lambda number, value, seconds: found.update({number: value}))
    return found


@contextmanager
def sent_once(begun: list[Path], number: int) -> Iterator[None]:
    """Send a signal to this process as soon as the files stand."""

    def send() -> None:
        wait_until(lambda: all(path.exists() and path.read_text() for path in begun))
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_every_job_ends_with_its_value() -> None:
    assert run([Job(double, (number,)) for number in range(7)]) == {number: 2 * number for number in range(7)}


@pytest.mark.parametrize(
    ("how", "told"),
    [("SIGKILL", "SIGKILL: out of memory?"), ("SIGSEGV", "SIGSEGV"), ("exit", "exit code 3")],
)
def test_a_worker_that_dies_costs_its_job_only_and_is_replaced(how: str, told: str) -> None:
    found = run([Job(double, (1,)), Job(die, (how,)), Job(double, (2,)), Job(die, (how,)), Job(double, (3,))], 1)
    assert [found[number] for number in (0, 2, 4)] == [2, 4, 6]
    assert all(isinstance(found[number], Died) for number in (1, 3))
    assert str(found[1]) == f"the worker process died ({told})"


def test_an_exception_of_a_job_ends_the_others_and_keeps_its_type_and_traceback(tmp_path: Path) -> None:
    jobs = [Job(fail, ()), Job(work_until_interrupted, (tmp_path / "begun", tmp_path / "ended"))]
    with pytest.raises(KeyError, match="a key that is not there") as caught:
        run(jobs)
    assert "in fail" in caught.value.__notes__[0]


def test_an_exception_that_cannot_be_sent_is_told() -> None:
    with pytest.raises(RuntimeError, match="OwnError: told anyway"):
        run([Job(fail_with_what_cannot_be_sent, ())])


def test_a_worker_that_hangs_on_exit_is_killed() -> None:
    assert run([Job(leave_a_thread_that_never_ends, ())] * 2) == {0: "done", 1: "done"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_reaches_the_jobs_and_then_the_caller(tmp_path: Path, number: int) -> None:
    """The handler of a termination is the command line's: it raises as that of Ctrl-C does."""
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun, ended = [tmp_path / "begun-0", tmp_path / "begun-1"], [tmp_path / "ended-0", tmp_path / "ended-1"]
    try:
        with sent_once(begun, number), pytest.raises(KeyboardInterrupt):
            run([Job(work_until_interrupted, (begun[n], ended[n])) for n in range(2)] + [Job(double, (1,))])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [path.read_text() for path in ended] == ["interrupted"] * 2
    assert not any(is_alive(int(path.read_text())) for path in begun)


@pytest.mark.parametrize("job", [ignore_interrupts, hold_the_interpreter])
def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path, job: Callable[[Path], None]) -> None:
    with sent_once([tmp_path / "begun"], signal.SIGINT), pytest.raises(KeyboardInterrupt):
        run([Job(job, (tmp_path / "begun",))])
    assert not is_alive(int((tmp_path / "begun").read_text()))


def test_an_interrupt_that_finds_every_job_over_is_dropped() -> None:
    found: list[int] = []

    def ended(number: int, value: int, seconds: float) -> None:
        found.append(value)
        os.kill(os.getpid(), signal.SIGINT)

    run_jobs([Job(double, (1,))], workers=1, threads=1, ended=ended)
    assert found == [2]


def test_a_signal_to_a_worker_alone_ends_the_others_too(tmp_path: Path) -> None:
    def send() -> None:
        wait_until(lambda: all(path.exists() and path.read_text() for path in begun))
        os.kill(int(begun[0].read_text()), signal.SIGTERM)

    begun = [tmp_path / "begun-0", tmp_path / "begun-1"]
    thread = threading.Thread(target=send)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run([Job(work_until_interrupted, (begun[n], tmp_path / f"ended-{n}")) for n in range(2)])
    thread.join()
    assert (tmp_path / "ended-1").read_text() == "interrupted"


def test_handlers_of_signals_are_put_back_and_what_they_raise_is_kept() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        assert interrupts.error is None
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: interrupts.error is not None)
        assert isinstance(interrupts.error, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is before


def test_jobs_run_in_any_thread() -> None:
    found: dict[int, Any] = {}
    thread = threading.Thread(target=lambda: found.update(run([Job(double, (4,))])))
    thread.start()
    thread.join()
    assert found == {0: 8}


def test_workers_that_cannot_start_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stillborn(Worker):
        def __init__(self, threads: int) -> None:
            super().__init__(threads)
            self.kill()

    monkeypatch.setattr(supervisor, "Worker", Stillborn)
    with pytest.raises(UserError, match="no worker process could be started") as caught:
        run([Job(double, (1,))])
    assert "\n" not in str(caught.value)


def test_a_large_call_and_a_large_answer_pass(tmp_path: Path) -> None:
    assert run([Job(double, ("x" * 3_000_000,))])[0] == "x" * 6_000_000


def test_a_worker_whose_owner_let_go_of_it_interrupts_its_call_and_ends(tmp_path: Path) -> None:
    """What ends it where the kernel does not: the owner's end of the second pipe is closed."""
    worker = Worker(1)
    wait_until(lambda: worker.answer() is None and worker.ready)
    worker.call(work_until_interrupted, tmp_path / "begun", tmp_path / "ended")
    wait_until((tmp_path / "begun").exists)
    worker.close()
    wait_until(lambda: not worker.alive, 60)
    assert (tmp_path / "ended").read_text() == "interrupted"


OWNER = """
import sys
from pathlib import Path
import test_supervisor as jobs
if __name__ == "__main__":
    jobs.run([jobs.Job(getattr(jobs, sys.argv[1]), (Path(name),)) for name in sys.argv[2:]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; asks the kernel of Linux")
@pytest.mark.parametrize("job", ["ignore_interrupts", "hold_the_interpreter"])
def test_workers_end_with_an_owner_that_is_killed(tmp_path: Path, job: str) -> None:
    begun = [tmp_path / "begun-0", tmp_path / "begun-1"]
    (tmp_path / "owner.py").write_text(OWNER)
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, str(tmp_path / "owner.py"), job, *map(str, begun)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}) as owner:
        wait_until(lambda: all(path.exists() and path.read_text() for path in begun))
        owner.kill()
    wait_until(lambda: not any(is_alive(int(path.read_text())) for path in begun), 60)
