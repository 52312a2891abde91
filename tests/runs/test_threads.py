"""What waiting threads do is decided once, before torch is there, and only if the user has not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from normlab.runs import threads
from normlab.runs.threads import idle_threads, let_idle_threads_sleep, undecided


@pytest.fixture(autouse=True)
def _undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "")  # so that what is set below is undone after the test
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "_ours", {})
    monkeypatch.setattr(threads, "_nothing_else_runs", lambda: False)


def test_waiting_threads_sleep_by_default() -> None:
    assert idle_threads() == "the runtime's default"
    let_idle_threads_sleep()
    assert idle_threads() == "OMP_WAIT_POLICY=PASSIVE"


def test_where_nothing_else_runs_they_wait_some_microseconds_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_nothing_else_runs", lambda: True)
    let_idle_threads_sleep()
    assert idle_threads() == "OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=3000"
    with undecided():
        assert idle_threads() == "the runtime's default"
    assert idle_threads() == "OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=3000"


@pytest.mark.skipif(not Path("/proc/loadavg").exists(), reason="only Linux tells")
def test_another_process_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            deadline = time.monotonic() + 30
            while threads._nothing_else_runs():
                assert time.monotonic() < deadline
        finally:
            busy.kill()


@pytest.mark.parametrize(
    "name, value", [("OMP_WAIT_POLICY", "ACTIVE"), ("GOMP_SPINCOUNT", "1000"), ("KMP_BLOCKTIME", "1")]
)
def test_the_users_decision_stays(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    let_idle_threads_sleep()
    assert idle_threads() == f"{name}={value}"


def test_a_process_may_start_without_the_decision_but_not_without_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    let_idle_threads_sleep()
    with undecided():
        assert idle_threads() == "the runtime's default"
    assert idle_threads() == "OMP_WAIT_POLICY=PASSIVE"
    monkeypatch.setattr(threads, "_ours", {})
    with undecided():
        assert idle_threads() == "OMP_WAIT_POLICY=PASSIVE"


def test_the_command_line_decides_before_torch_is_imported() -> None:
    code = "import sys, os; from normlab.cli import main; main(['list', 'tasks']); "
    code += "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "PASSIVE False"
