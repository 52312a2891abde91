"""Commands that are stopped at random moments end with the bits of those that nobody stopped: the short form."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="stops are signals to forked processes")
def test_commands_stopped_thirty_times_leave_the_bits_of_those_never_stopped(tmp_path: Path) -> None:
    command = [sys.executable, str(SOAK), "--kills", "30", "--jobs", "image,publish,study"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command += ["--out", str(tmp_path / "soak")]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = re.findall(r"^(\w+): (\d+) of (\d+) stops .* in (\d+) runs, all with the bits", ended.stdout, re.MULTILINE)
    assert [name for name, *_ in told] == ["image", "publish", "study"]
    assert all(met == wanted and int(met) > 0 and int(runs) > 0 for _, met, wanted, runs in told)
    assert ended.stdout.endswith("30 stops: all good\n")


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(SOAK.parent))
    yield importlib.import_module("soak")
    for name in set(sys.modules) - known:
        if Path(str(getattr(sys.modules[name], "__file__", None))).parent == SOAK.parent:
            del sys.modules[name]


def test_the_comparison_sees_a_changed_file(soak: Any, tmp_path: Path) -> None:
    for name, scores in (("one", '{"metrics": {"a": 0.5}, "seconds": 1}'), ("other", '{"metrics": {"a": 0.6}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(scores, encoding="utf-8")
    expected = soak.content(tmp_path / "one")
    with pytest.raises(soak.SoakError, match=r"result\.json differ"):
        soak.compare("image", expected, soak.content(tmp_path / "other"), tmp_path)
    soak.compare("image", expected, {"result.json": soak._digest(b'{"metrics": {"a": 0.5}}')}, tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="stops are signals to processes")
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("none", ""),
        ("made again", r"result\.json was finished, and was made again"),
        ("lost", r"result\.json was finished, and was made again or is lost"),
        ("other bits", r"result\.json differ"),
        ("does not go on", "exit code 2"),
        ("half of it", "a half"),
    ],
)
def test_a_command_that_is_wrong_after_a_stop_is_seen(soak: Any, tmp_path: Path, fault: str, told: str) -> None:
    begun: list[str] = []

    def begin(folder: Path) -> int:
        """Write the result at once; then wait to be stopped, but for the run that nobody stops and one that goes on."""
        folder.mkdir(exist_ok=True)
        result = folder / "result.json"
        again = result.exists()
        begun.append("again" if again else "anew")
        if fault == "made again" or not again:
            result.write_text(str(len(begun)) if fault == "other bits" else "{}", encoding="utf-8")
            os.utime(result, ns=(len(begun), len(begun)))
        if fault == "lost" and again:
            result.unlink()
        waits = not again and begun.count("anew") > 1
        code = "raise SystemExit(2)" if again and fault == "does not go on" else "import time; time.sleep(60)" * waits
        process = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
        process.returncode = 0
        return process.pid

    def look(folder: Path) -> None:
        if fault == "half of it":
            raise soak.SoakError("a half")

    one = soak.Soak(soak.Job("job", begin, 1, look=look), 4, soak.random.Random(1), tmp_path / "out")
    one.begin()
    if told:
        with pytest.raises(soak.SoakError, match=told):
            one.one_run()
        return
    while one.stops < one.kills:
        one.one_run()
    assert "4 of 4 stops" in one.told()
    assert one.runs > 0


@pytest.mark.parametrize("kills", [0, 1, 3, 4, 30, 1000])
def test_all_stops_are_shared_by_weight_and_each_job_gets_one(soak: Any, kills: int) -> None:
    weights = [20, 20, 0.5, 8]
    counts = soak.shares(kills, weights)
    assert sum(counts) == kills
    assert min(counts) >= (kills >= 4)
    if kills == 1000:
        assert counts[0] == counts[1] > 2 * counts[3] > 20 * counts[2]
