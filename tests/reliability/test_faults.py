"""Failing system calls and power cuts: the short forms of `faults.py` and `power_cut.py`, and that they see a fault."""

from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def module(name: str) -> Any:
    """Import one of the programs beside this file."""
    return importlib.import_module(name)


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known, kernels = set(sys.modules), os.environ.get("NORMLAB_KERNELS")
    monkeypatch.syspath_prepend(str(HERE.parent / "report"))
    monkeypatch.syspath_prepend(str(HERE))
    if module("shim").compiler() is None:
        pytest.skip("no C compiler on Linux: the shim that lets system calls fail cannot be built")
    yield
    for name in set(sys.modules) - known:
        if getattr(sys.modules[name], "__file__", None) and Path(str(sys.modules[name].__file__)).parent == HERE:
            del sys.modules[name]
    if kernels is not None:
        os.environ["NORMLAB_KERNELS"] = kernels


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / program), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_commands_whose_system_calls_fail_name_the_cause_lose_nothing_and_go_on() -> None:
    ended = run("faults.py", "--cases", "2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for scenario in ("run", "cache", "archive", "report", "predictions", "publish", "kernels"):
        assert f"{scenario}: 2 of " in ended.stdout


@pytest.mark.slow
def test_after_a_power_cut_readers_find_the_old_state_or_the_new_one() -> None:
    ended = run("power_cut.py", "--most", "25")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for workload in ("run", "archive", "kernels"):
        assert f"{workload}: " in ended.stdout


def test_the_shim_fails_the_call_that_was_asked_for_and_counts(tmp_path: Path) -> None:
    shim = module("shim")
    folder = tmp_path / "watched"
    folder.mkdir()
    control = shim.Control(tmp_path / "control")
    program = "import sys\nfor n in (1, 2, 3):\n    open(f'{sys.argv[1]}/{n}', 'w').write('x')\n"
    environment = shim.environment(shim.build(tmp_path), folder, SHIM_CONTROL=str(tmp_path / "control"))
    for number, files, calls in ((0, 3, 3), (2, 1, 2)):
        control.arm(folder, ("open", "mkdir"), number, errno.ENOSPC)
        ended = subprocess.run(
            [sys.executable, "-c", program, str(folder)], env=environment, capture_output=True, text=True
        )
        assert ("No space left" in ended.stderr) is bool(number)
        assert len(list(folder.iterdir())) == files
        assert control.failures == bool(number)
        assert control.seen()["open"] == calls
        for path in folder.iterdir():
            path.unlink()


def states(log: list[Any]) -> list[dict[str, bytes | None]]:
    model = module("power_cut").Model(log, (1, 0))
    files = [model.state(cut).files for cut in model.cuts()]
    return [{path: content and content.data for path, content in found.items()} for found in files]


def record(kind: str, file: int, name: str = "", data: bytes = b"", target: str = "") -> Any:
    return module("power_cut").Record(kind, (file, 0), (1, 0), (1, 0), name, target, 0, data)


def test_the_model_loses_what_was_not_flushed_and_keeps_what_was() -> None:
    found = states([record("c", 2, "a"), record("w", 2, data=b"text"), record("s", 2, data=b"text"), record("d", 1)])
    assert {"a": b""} in found
    assert {"a": b"te"} in found
    assert {"a": bytes(4)} in found
    assert {} in found
    unflushed = [record("c", 2, "a"), record("w", 2, data=b"text"), record("d", 1)]
    assert {"a": b""} in states([*unflushed, record("d", 1)])


def test_the_model_tells_a_careful_replacement_from_one_without_fsync() -> None:
    old = [record("c", 2, "a"), record("w", 2, data=b"older"), record("s", 2, data=b"older"), record("d", 1)]
    new = [
        record("c", 3, "t"),
        record("w", 3, data=b"new"),
        record("s", 3, data=b"new"),
        record("r", 3, "t", target="a"),
    ]
    before = {state.get("a") for state in states(old)}
    assert {state.get("a") for state in states([*old, *new])} - before == {b"new"}
    careless = [change for change in new if change.kind != "s"]
    assert {state.get("a") for state in states([*old, *careless])} - before == {b"new", b"n", bytes(3)}
