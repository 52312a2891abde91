"""Let single system calls of normlab's commands fail, as a full or failing disk makes them fail, and see what is left.

    python tests/reliability/faults.py                     every call of each command, with each error that fits it
    python tests/reliability/faults.py --cases 30 --seed 1 so many of them, drawn
    python tests/reliability/faults.py --minutes 20        as many of each command as that time allows, drawn
    python tests/reliability/faults.py --stops             only the cases in which the process is killed

A command runs once undisturbed, which counts its calls below the watched folder (a run, a cache, a report, an archive).
Then it runs again and again: the n-th call fails, once or from then on, or the process is killed at it. Each time it
must end with one line that holds the system's own words for the error and the exit code that docs/architecture.md
gives, or do its work all the same; what lay there before must be valid; and without the error the same command must
end with what the undisturbed one left. Commands are forked from one process that has imported everything.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "report")]

import shim  # noqa: E402
import soak  # noqa: E402
from fault_scenarios import SCENARIOS, Command, Scenario  # noqa: E402

_DISK = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
_RIGHTS = (errno.EACCES, errno.EROFS)
ERRORS: dict[str, tuple[int, ...]] = {
    "open": (*_RIGHTS, *_DISK),
    "open to read": (errno.EACCES, errno.EIO),
    "write": _DISK,
    "fsync": _DISK,
    "rename": (*_RIGHTS, *_DISK),
    "unlink": (*_RIGHTS, errno.EIO),
    "mkdir": (*_RIGHTS, *_DISK),
    "lock": (errno.ENOLCK, errno.EIO),
    "chmod": (errno.EROFS, errno.EIO),
    "truncate": (errno.EIO,),
}
_LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # a full disk stays full
_KILL = -signal.SIGKILL
_PROGRESS = 60.0  # seconds between two lines that tell how far it is
_OWN_WORDS = {
    errno.EACCES: "you may not read it",
    errno.EIO: "the disk fails to read it",
}  # normlab's instead of the system's


class Case(NamedTuple):
    """The call of that number, of one kind, ends with an error; minus SIGKILL: the process dies at it."""

    call: str
    number: int
    error: int
    lasting: bool

    def __str__(self) -> str:
        what = "SIGKILL" if self.error == _KILL else errno.errorcode[self.error]
        return f"{self.call} {self.number}: {what}{' and all later ones' * self.lasting}"


class FaultError(AssertionError):
    """A command did not do what it should."""


class Ended(NamedTuple):
    """How a forked command ended."""

    code: int
    output: str
    errors: str


def run(command: Command, arena: Path) -> Ended:
    """Run a normlab command, or a function that returns an exit code, in a process of its own, in a folder."""
    streams = arena.with_name("streams")
    streams.mkdir(exist_ok=True)
    pid = os.fork()
    if not pid:
        _become(command, arena, streams)
    code = soak.wait(pid, None)
    assert code is not None
    texts = [(streams / name).read_text(encoding="utf-8") for name in ("out", "err")]
    return Ended(code, *texts)


def _become(command: Command, arena: Path, streams: Path) -> None:
    code = 70
    try:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(streams / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.chdir(arena)
        os.environ["NORMLAB_CACHE"] = str(arena / "cache")
        from normlab.cli import main

        code = command() if callable(command) else main(command)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def cases(counted: dict[str, int]) -> Iterator[Case]:
    """Yield every case for a command that makes so many calls of each kind."""
    for call, count in counted.items():
        for number in range(1, count + 1):
            for error in ERRORS[call]:
                yield Case(call, number, error, lasting=False)
                if error in _LASTING:
                    yield Case(call, number, error, lasting=True)
            if call in ("write", "fsync", "rename"):
                yield Case(call, number, _KILL, lasting=False)


class Bench:
    """A folder in which one scenario's cases are tried, one after the other, from the same beginning."""

    def __init__(self, scenario: Scenario, out: Path, control: shim.Control) -> None:
        self.scenario, self.control = scenario, control
        self.arena, self.start = out / "arena", out / "start"
        self.start.mkdir(parents=True)
        scenario.prepare(self.start)
        self._begin_anew()
        control.arm(self.watched, shim.CALLS, 0, 0)
        ended = run(scenario.command(self.arena), self.arena)
        self.counted = control.seen()
        control.disarm()
        if ended.code:
            raise FaultError(f"{scenario.name}: exit code {ended.code} without a fault: {ended.errors}")
        self.expected = scenario.ended(self.arena)
        self.new = scenario.kept(self.arena)

    @property
    def watched(self) -> Path:
        """The folder in which calls fail; it may not exist yet."""
        return self.arena / self.scenario.watched

    def _begin_anew(self) -> None:
        shutil.rmtree(self.arena, ignore_errors=True)
        shutil.copytree(self.start, self.arena)

    def attempt(self, case: Case) -> str:
        """Try a case; return "refused", "done all the same", "killed" or "not met".

        Raises: FaultError saying what is wrong.
        """
        self._begin_anew()
        self.control.arm(self.watched, (case.call,), case.number, case.error, lasting=case.lasting)
        ended = run(self.scenario.command(self.arena), self.arena)
        met = self.control.failures
        self.control.disarm()
        verdict = self._judge(case, ended, met)
        self._check("what lay there is damaged", lambda: self.scenario.kept(self.arena), case)
        again = run(self.scenario.command(self.arena), self.arena)
        if again.code:
            raise FaultError(f"{self.scenario.name}, {case}: does not go on: {again.errors[-2000:]}")
        if self._check("nothing to compare", lambda: self.scenario.ended(self.arena), case) != self.expected:
            raise FaultError(f"{self.scenario.name}, {case}: ends with something else once the error is gone")
        return verdict

    def _judge(self, case: Case, ended: Ended, met: int) -> str:
        where = f"{self.scenario.name}, {case}"
        if case.error == _KILL:
            return "killed" if met else "not met"
        if "Traceback" in ended.errors or ended.code not in (0, 1, 2):
            raise FaultError(f"{where}: exit code {ended.code}: {ended.errors[-3000:]}")
        if ended.code == 0:
            if self._check("it said that it was done", lambda: self.scenario.ended(self.arena), case) != self.expected:
                raise FaultError(f"{where}: exit code 0, but the result is another: {ended.errors}")
            return "done all the same" if met else "not met"
        told = [line for line in ended.errors.splitlines() if line.startswith("normlab: ")]
        lines = [line for line in told if "fast kernels are not used" not in line]
        words = (os.strerror(case.error), _OWN_WORDS.get(case.error, os.strerror(case.error)))
        if len(lines) != 1 or not any(word in lines[0] for word in words):
            raise FaultError(f"{where}: no one line that names the cause: {ended.errors!r}")
        return "refused"

    def _check(self, what: str, read: Callable[[], object], case: Case) -> object:
        try:
            return read()
        except Exception as error:
            raise FaultError(f"{self.scenario.name}, {case}: {what}: {type(error).__name__}: {error}") from error


def try_scenario(
    scenario: Scenario,
    out: Path,
    control: shim.Control,
    most: int | None,
    draw: random.Random,
    *,
    stops: bool = False,
    seconds: float = math.inf,
) -> bool:
    """Try a scenario's cases, or only its stops; print what they came to, and return whether all were good."""
    bench = Bench(scenario, out, control)
    every = [case for case in cases(bench.counted) if case.error == _KILL or not stops]
    chosen = draw.sample(every, min(len(every), len(every) if most is None else most))
    verdicts: Counter[str] = Counter()
    good, told_at, until = True, time.monotonic(), time.monotonic() + seconds
    for number, case in enumerate(chosen):
        if time.monotonic() > until:
            chosen = chosen[:number]
            break
        if time.monotonic() > told_at + _PROGRESS:
            told_at = time.monotonic()
            print(f"{scenario.name}: {number} of {len(chosen)} cases so far", flush=True)
        try:
            verdicts[bench.attempt(case)] += 1
        except FaultError as failure:
            print(f"FAILED: {failure}", flush=True)
            good = False
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    print(f"{scenario.name}: {len(chosen)} of {len(every)} cases: {told}", flush=True)
    return good


def main(arguments: list[str] | None = None) -> int:
    """Try all scenarios; exit code 1 if a command did not do what it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, help="so many of each scenario, drawn; default: all")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="some of them, with commas")
    parser.add_argument("--minutes", type=float, default=math.inf, help="for each scenario at most")
    parser.add_argument("--stops", action="store_true", help="only those that kill the process at a call")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    names = options.scenarios.split(",")
    if unknown := set(names) - SCENARIOS.keys():
        parser.error(f"unknown scenario {', '.join(sorted(unknown))}: known: {', '.join(SCENARIOS)}")
    soak.warm_up()
    _import_more()
    control = shim.Control(Path(os.environ["SHIM_CONTROL"]))
    good = True
    for name in names:
        draw = random.Random(f"{options.seed} {name}")
        folder = Path(os.environ["SHIM_ROOT"]) / name
        limits = {"stops": options.stops, "seconds": 60 * options.minutes}
        good &= try_scenario(SCENARIOS[name], folder, control, options.cases, draw, **limits)
    return int(not good)


def _import_more() -> None:
    """Import what the commands beside `train` need, so that no fork has to."""
    for name in ("PIL.Image", "plotly.graph_objects", "normlab.report", "normlab.tasks.image.predictions"):
        importlib.import_module(name)


def under_the_shim(arguments: list[str]) -> int:
    """Start this program again with the shim in between, in a temporary folder."""
    import subprocess

    if shim.compiler() is None:
        print("no C compiler: the shim cannot be built")
        return 2
    with tempfile.TemporaryDirectory(prefix="normlab-faults-") as folder:
        library = shim.build(Path(folder))
        watched = Path(folder).resolve() / "watched"
        watched.mkdir()
        control = Path(folder) / "control"
        shim.Control(control)
        more = {"SHIM_CONTROL": str(control), "OMP_NUM_THREADS": "1", "NORMLAB_KERNELS": "off"}
        environment = shim.environment(library, watched, **more)
        return subprocess.run([sys.executable, __file__, *arguments], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main() if "SHIM_CONTROL" in os.environ else under_the_shim(sys.argv[1:]))
