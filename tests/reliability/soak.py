"""Stop normlab's commands at random moments until each has ended, and compare all they leave with one never stopped.

    python tests/reliability/soak.py --kills 1000                       all jobs
    python tests/reliability/soak.py --kills 10 --jobs image --seed 3   one of them
    python tests/reliability/soak.py --kills 1000 --minutes 50          as many as fit

A stop is SIGKILL, SIGTERM (kept as an interrupt), or SIGSTOP, after which the process goes on or is killed. A stopped
command is given again, as a person would, and stopped again, until it ends; then weights, checkpoint, predictions,
curves, scores, trials and cells must have the same bits as those of a run that nobody stopped, and what was finished
before a stop must not have been made again. The jobs (`soak_jobs.py`) share the stops by their weights and take turns.
Stops at exact moments, each write, flush and rename, are those of `faults.py --stops`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from soak_jobs import (  # noqa: E402
    ENDED,
    JOBS,
    SAID,
    Job,
    SoakError,
    import_as_jobs_did,
    wait,
    wait_for_group,
    warm_up,
)

from normlab.yaml_file import read_yaml  # noqa: E402

STOPS = ("kill", "terminate", "pause", "pause and kill")
_MOST_STOPS_IN_A_ROW = 50
_PROGRESS = 20.0  # seconds between two lines that tell how far it is
_NOT_COMPARED = ("second", "memory", "time", "host", "pid", "command")  # in the names of what may differ
_VALUES = ("result.json", "evaluation.json", "tested.json", "before.json", "study.json")
_BYTES = ("model.safetensors", "card.json", "tuned.yaml", "README.md")


def stop(pid: int, how: str) -> int:
    """Stop a process as one of `STOPS` says; return its exit code when it has ended."""
    if how.startswith("pause"):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.1)
        os.kill(pid, signal.SIGKILL if how.endswith("kill") else signal.SIGCONT)
    else:
        os.kill(pid, signal.SIGKILL if how == "kill" else signal.SIGTERM)
    code = wait(pid, None)
    wait_for_group(pid)
    assert code is not None
    return code


def content(folder: Path) -> dict[str, str]:
    """Return a digest of each thing that a run leaves and that must not depend on how often it was stopped."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or "tensorboard" in name:
            continue
        if path.name in _BYTES or path.parent.name == "predictions":
            found[name] = _digest(path.read_bytes())
        elif path.name in _VALUES:
            found[name] = _digest(_plain(json.loads(path.read_text(encoding="utf-8"))))
        elif path.name in ("metrics.jsonl", "layers.jsonl"):
            lines = path.read_text(encoding="utf-8").splitlines()
            found[name] = _digest(b"\n".join(_plain(json.loads(line)) for line in lines))
        elif path.name == "config.yaml":
            found[name] = _digest(_plain(dict(read_yaml(path))))
    return found


def _plain(values: dict[str, Any]) -> bytes:
    """Return values as text, without those that say how long something took."""
    return json.dumps(_untimed(values), sort_keys=True).encode()


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: part for key, part in value.items() if not any(word in key for word in _NOT_COMPARED)}
        return {key: _untimed(part) for key, part in kept.items()}
    return [_untimed(part) for part in value] if isinstance(value, list) else value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def finished(folder: Path) -> dict[str, int]:
    """Return when each result was written: what is finished is not made again."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("result.json")}


class Soak:
    """One job: so many stops, in as many runs as that takes.

    Attributes:
        kills: stops that it is to get.
        met: how often each kind of stop met a running process.
        runs: that have ended with the bits of one never stopped.
        good: none ended otherwise.
        seconds: that all this took, of the clock and of the processor.
    """

    def __init__(self, job: Job, kills: int, draw: random.Random, out: Path) -> None:
        self.job, self.kills, self._draw, self._out = job, kills, draw, out
        self.met = dict.fromkeys(STOPS, 0)
        self.runs, self.seconds = 0, (0.0, 0.0)
        self.good = True
        self._expected: dict[str, str] = {}
        self._longest = 0.0  # seconds of a run

    @property
    def stops(self) -> int:
        """How many stops it has got."""
        return sum(self.met.values())

    def begin(self) -> None:
        """Make what the job needs, and the run that nobody stops."""
        begun = _now()
        (self._out / "needs").mkdir(parents=True)
        self.job.prepare(self._out / "needs")
        folder = self._new_folder()
        self._longest = self._finish(folder)
        self._expected = content(folder)
        if not self._expected:
            raise SoakError(f"{self.job.name}: nothing to compare in {folder}")
        imported = import_as_jobs_did(folder)
        folder.parent.rename(self._out / "whole")
        if imported:
            self._longest = self._finish(self._new_folder())
            self._compare(folder)
        self._took(begun)

    def one_run(self) -> None:
        """Stop one run again and again until it ends, and compare what it leaves.

        Raises: SoakError for one that does not go on, makes something twice, or ends with other bits.
        """
        begun = _now()
        folder = self._new_folder()
        made: dict[str, int] = {}
        ended = False
        for attempt in range(_MOST_STOPS_IN_A_ROW):
            if self.stops >= self.kills or ended:
                break
            since = time.monotonic()
            pid = self.job.begin(folder)
            code, how = wait(pid, self._draw.uniform(0, self._longest)), "no stop"
            if code is None:
                how = self._draw.choice(STOPS)
                code = stop(pid, how)
                self.met[how] += 1
            elif attempt == 0 and code == ENDED:
                self._longest = time.monotonic() - since  # the first run was slower: its imports, or other load
            if code != ENDED and (how == "no stop" or code not in (1, -signal.SIGKILL, -signal.SIGTERM)):
                raise SoakError(self._failed(folder, f"exit code {code} after {how}"))
            made = self._refuse_made_again(folder, made)
            self.job.look(folder)
            ended = code == ENDED or self.job.over(folder)
        if not ended:
            self._finish(folder)
        self._refuse_made_again(folder, made)
        self._compare(folder)
        self.runs += 1
        self._took(begun)

    def _took(self, begun: tuple[float, float]) -> None:
        elapsed, processor = _now()
        self.seconds = self.seconds[0] + elapsed - begun[0], self.seconds[1] + processor - begun[1]

    def _new_folder(self) -> Path:
        """Return the job's folder, empty: always the same, since settings and their digest hold paths."""
        folder = self._out / "run" / self.job.name
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.parent.mkdir()
        return folder

    def _finish(self, folder: Path) -> float:
        """Give the command without a stop; return the seconds that it took."""
        since = time.monotonic()
        pid = self.job.begin(folder)
        code = wait(pid, None)
        wait_for_group(pid)
        if code != ENDED:
            raise SoakError(self._failed(folder, f"exit code {code} without a stop"))
        return time.monotonic() - since

    def _refuse_made_again(self, folder: Path, made: dict[str, int]) -> dict[str, int]:
        now = finished(folder) if folder.is_dir() else {}
        if again := [name for name, when in made.items() if now.get(name) != when]:
            raise SoakError(self._failed(folder, f"{', '.join(again)} was finished, and was made again or is lost"))
        return now

    def _compare(self, folder: Path) -> None:
        compare(self.job.name, self._expected, content(folder), folder)
        runs = [path.parent for path in folder.rglob("config.yaml")]
        places = [place for run in runs for place in (run, run / "checkpoints", run / "predictions")]
        if left := [path.name for place in places for path in place.glob(".*.tmp")]:
            raise SoakError(self._failed(folder, f"left unfinished: {', '.join(left)}"))

    def _failed(self, folder: Path, what: str) -> str:
        said = folder.parent / SAID
        tail = said.read_text(encoding="utf-8", errors="replace")[-3000:] if said.exists() else ""
        return f"{self.job.name}: {what}, in {folder}\n{tail}"

    def told(self) -> str:
        """Return what became of it, in a line."""
        kinds = ", ".join(f"{count} x {how}" for how, count in self.met.items())
        stops = f"{self.stops} of {self.kills} stops ({kinds})"
        runs = f"{self.runs} runs{', all' if self.good else ' FAILED after those'} with the bits of one never stopped"
        elapsed, processor = self.seconds
        return f"{self.job.name}: {stops} in {runs}; {elapsed:.0f} s, {processor:.0f} s of processor"


def _now() -> tuple[float, float]:
    """Return the clock, and the processor seconds of this process and of those it has waited for."""
    return time.monotonic(), sum(os.times()[:4])


def compare(name: str, expected: dict[str, str], found: dict[str, str], folder: Path) -> None:
    """Raise `SoakError` naming the files that differ."""
    different = sorted(file for file in expected.keys() | found.keys() if expected.get(file) != found.get(file))
    if different:
        raise SoakError(f"{name}: {', '.join(different)} differ from the run never stopped, in {folder}")


def shares(kills: int, weights: Sequence[float]) -> list[int]:
    """Return how many stops each job gets: by its weight, and at least one where there are enough."""
    least = int(kills >= len(weights))
    rest = kills - least * len(weights)
    exact = [rest * weight / sum(weights) for weight in weights]
    whole = [int(part) for part in exact]
    largest = sorted(range(len(weights)), key=lambda index: whole[index] - exact[index])
    more = set(largest[: rest - sum(whole)])
    return [least + part + (index in more) for index, part in enumerate(whole)]


def soak(soaks: list[Soak], out: Path, end: float) -> bool:
    """Let jobs take turns until each has its stops or the time is over; return whether all was as it should be.

    Those that need something around them come first, one by one.
    """
    alone = [[each] for each in soaks if each.job.around]
    for group in [*alone, [each for each in soaks if not each.job.around]]:
        with ExitStack() as around:
            going = list(group)
            for each in group:
                try:
                    if each.job.around:
                        (out / each.job.name).mkdir(parents=True, exist_ok=True)
                        around.enter_context(each.job.around(out / each.job.name))
                    each.begin()
                except SoakError as failure:
                    print(f"FAILED: {failure}", flush=True)
                    each.good = False
                    going.remove(each)
            told = time.monotonic()
            while (going := [each for each in going if each.stops < each.kills]) and time.monotonic() < end:
                each = min(going, key=lambda each: each.stops / each.kills)
                try:
                    each.one_run()
                except SoakError as failure:
                    print(f"FAILED: {failure}", flush=True)
                    each.good = False
                    going.remove(each)
                if time.monotonic() > told + _PROGRESS:
                    told = time.monotonic()
                    print(f"{sum(each.stops for each in soaks)} stops so far", flush=True)
    return all(each.good for each in soaks)


def main(arguments: list[str] | None = None) -> int:
    """Run the soak; exit code 1 if a run did not end with the same bits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="stops in all, shared by the jobs")
    parser.add_argument("--jobs", default=",".join(JOBS), help="some of them, with commas")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no further run after so many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the folders there")
    options = parser.parse_args(arguments)
    names = options.jobs.split(",")
    if unknown := [name for name in names if name not in JOBS]:
        parser.error(f"unknown job '{unknown[0]}': known: {', '.join(JOBS)}")
    out = (options.out or Path(tempfile.mkdtemp(prefix="normlab-soak-"))).resolve()
    kills = shares(options.kills, [JOBS[name].weight for name in names])
    soaks = [
        Soak(JOBS[name], count, random.Random(f"{options.seed} {name}"), out / name)
        for name, count in zip(names, kills, strict=True)
        if count
    ]
    good = soak(soaks, out, time.monotonic() + 60 * options.minutes)
    for each in soaks:
        print(each.told(), flush=True)
    print(f"{sum(each.stops for each in soaks)} stops: {'all good' if good else 'FAILED'}", flush=True)
    if options.out is None and good:
        with suppress(OSError):
            shutil.rmtree(out)
    return int(not good)


if __name__ == "__main__":
    warm_up()
    sys.exit(main())
