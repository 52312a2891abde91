"""A study ends after a signal, whenever it comes and whomever it reaches, and goes on where it was.

The suite's form has jobs that only nap. `NORMLAB_INTERRUPTS=30 python -m pytest -s` with this file interrupts a study
of smoke cells at so many random moments and prints how long each end took.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from normlab.studies import Study

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals to process groups")

NAPS = """
import sys
from pathlib import Path
from normlab.cli import _termination_interrupts
from normlab.studies.supervisor import Job, run_jobs
from test_random_interrupts import nap
if __name__ == "__main__":
    files = [Path(sys.argv[1]) / f"{number}" for number in range(10)]
    jobs = [Job(nap, (file, 0.1 * number)) for number, file in enumerate(files) if not file.exists()]
    with _termination_interrupts():
        try:
            run_jobs(jobs, workers=2, threads=1, ended=lambda *about: None)
        except KeyboardInterrupt:
            sys.exit(1)
"""

STUDY = """
title: Interrupted at random
question: Does it end?
task: image
base: {n: 1, epochs: 3, limit_train: 512, distributions: "off"}
axes: {norm: [batch, group, none], lr: [0.05, 0.1]}
scales: {smoke: {preset: smoke, seeds: 1}}
"""


def nap(done: Path, seconds: float) -> None:
    time.sleep(seconds)
    done.write_text("done")


def interrupted(command: Sequence[str], delay: float, number: signal.Signals, *, group: bool) -> tuple[int, float]:
    """Run a command, send it a signal after a delay; return its exit code and how long it then took to end.

    Fails if it, or a process that it started, is there a minute later.
    """
    with subprocess.Popen(command, start_new_session=True, env=environment(), stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            (os.killpg if group else os.kill)(process.pid, number)
        started = time.monotonic()
        try:
            code = process.wait(60)
            seconds = time.monotonic() - started
            while (left := members(process.pid)) and time.monotonic() < started + 60:
                time.sleep(0.05)
            assert not left, f"processes are left: {left}"
        finally:
            if members(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
    return code, seconds


def members(group: int) -> list[int]:
    """Return the processes of a group that have not ended."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, of, state in rows if int(of) == group and not state.startswith("Z")]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}


def moments(count: int, longest: float) -> list[tuple[float, signal.Signals, bool]]:
    draw = random.Random(0)
    kinds = [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, False)]
    return [(draw.uniform(0, longest), *draw.choice(kinds)) for _ in range(count)]


def test_jobs_end_at_random_moments_and_are_finished_later(tmp_path: Path) -> None:
    script = tmp_path / "naps.py"
    script.write_text(NAPS)
    command = [sys.executable, str(script), str(tmp_path)]
    for delay, number, group in moments(8, 3.0):
        interrupted(command, delay, number, group=group)
    assert subprocess.run(command, env=environment()).returncode == 0
    assert all((tmp_path / f"{number}").read_text() == "done" for number in range(10))


@pytest.mark.skipif(
    "NORMLAB_INTERRUPTS" not in os.environ, reason="minutes: NORMLAB_INTERRUPTS=30 interrupts so many studies"
)
def test_a_study_ends_at_random_moments_and_is_finished_later(tmp_path: Path) -> None:
    source = tmp_path / "study.yaml"
    source.write_text(STUDY)
    begun = time.monotonic()
    run_to_the_end(source, tmp_path / "whole")
    longest = time.monotonic() - begun
    print(f"\nwithout an interrupt: {longest:.0f} s")
    taken = []
    for index, (delay, number, group) in enumerate(moments(int(os.environ["NORMLAB_INTERRUPTS"]), longest)):
        out = tmp_path / f"study-{index}"
        code, seconds = interrupted(study(source, out), delay, number, group=group)
        states = [cell.state for cell in Study.open(out).cells] if (out / "study.json").exists() else []
        print(
            f"{number.name} to the {'group' if group else 'parent'} after {delay:5.1f} s: exit {code}, {seconds:.1f} s"
        )
        assert "running" not in states
        assert "failed" not in states
        if code == 0:
            assert set(states) == {"finished"}
            assert (out / "report.html").exists()
        taken.append(seconds)
        if index % 5 == 0:
            run_to_the_end(source, out)
            assert metrics(out) == metrics(tmp_path / "whole")
    print(f"{len(taken)} signals: ends after {min(taken):.1f} to {max(taken):.1f} s")
    assert max(taken) < 10


def study(source: Path, out: Path) -> list[str]:
    command = [sys.executable, "-m", "normlab.cli", "study", "run", str(source), "--scale", "smoke", "--workers", "2"]
    return [*command, "--out", str(out)]


def run_to_the_end(source: Path, out: Path) -> None:
    assert subprocess.run(study(source, out), env=environment(), capture_output=True).returncode == 0
    assert {cell.state for cell in Study.open(out).cells} == {"finished"}


def metrics(out: Path) -> dict[str, dict[str, float]]:
    return {cell.name: cell.folder.result()["metrics"] for cell in Study.open(out).cells}
