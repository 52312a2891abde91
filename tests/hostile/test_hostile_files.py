"""Whatever a stranger's file holds, its reader gives a result or one line, within bounds, and runs none of it.

`hostile_files.py` has the table: what is made, who reads it, and what the line must say. The readers run in a process
of their own (`guarded_reader.py`).
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from guarded_reader import SECONDS
from hostile_files import CASES, HARM, OF_THE_GUARD

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="bounds of memory need /proc and rlimit")
HUNG = 12 * SECONDS  # of elapsed time: the machine may be busy


class Reader:
    """The reading process, started anew after a case that it did not survive."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def read(self, name: str, folder: Path, seconds: float = SECONDS) -> dict[str, str]:
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"case": name, "folder": str(folder), "seconds": seconds}) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], HUNG)
        line = process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.end()
        return {"outcome": "broken", "said": "the reader's process died" if ready else "the reader hangs"}

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            folder = Path(__file__).parent
            environment = {
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
                "OMP_NUM_THREADS": "1",
                "MALLOC_ARENA_MAX": "2",  # a thread's own arena would reserve 128 MB of address space
            }
            self._process = subprocess.Popen(
                [sys.executable, str(folder / "guarded_reader.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        return self._process


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.end()


@pytest.mark.parametrize("name", [name for name in CASES if name not in OF_THE_GUARD])
def test_a_hostile_file_is_one_line_or_a_result(name: str, reader: Reader, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    case = CASES[name]
    found = reader.read(name, folder)
    assert found["outcome"] == ("refused" if case.said else "read"), found["said"]
    assert case.said in found["said"]
    assert len(found["said"].splitlines()) <= 1
    assert len(found["said"]) < 1500
    assert [entry.name for entry in tmp_path.iterdir()] == ["own"], "something was written outside"
    assert not list(tmp_path.rglob(HARM))


@pytest.mark.parametrize("name", OF_THE_GUARD)
def test_the_guard_itself_notices(name: str, reader: Reader, tmp_path: Path) -> None:
    assert reader.read(name, tmp_path, 0.2)["outcome"] == "broken"
