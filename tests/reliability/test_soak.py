"""A training that is stopped at random moments ends with the bits of one that nobody stopped: the short form."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="stops are signals to forked processes")
def test_an_image_training_stopped_ten_times_has_the_bits_of_one_never_stopped(tmp_path: Path) -> None:
    command = [sys.executable, str(SOAK), "--kills", "10", "--jobs", "image", "--out", str(tmp_path / "soak")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "10 stops" in ended.stdout


def test_the_comparison_sees_a_changed_file(tmp_path: Path) -> None:
    sys.path.insert(0, str(SOAK.parent))
    try:
        import soak
    finally:
        sys.path.remove(str(SOAK.parent))
    for name, scores in (("one", '{"metrics": {"a": 0.5}, "seconds": 1}'), ("other", '{"metrics": {"a": 0.6}}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(scores, encoding="utf-8")
    expected = soak.content(tmp_path / "one")
    with pytest.raises(soak.SoakError, match=r"result\.json differ"):
        soak._compare("image", expected, soak.content(tmp_path / "other"), tmp_path)
    soak._compare("image", expected, {"result.json": soak._digest(b'{"metrics": {"a": 0.5}}')}, tmp_path)
