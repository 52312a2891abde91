"""The page about the course's commands tells the truth: what it calls quick runs as it stands, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "course.md"
BLOCKS = re.findall(
    r"(?:<!-- long: (.*?) -->\n)?```(bash|python)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.slow
def test_its_short_examples_run_in_order_in_an_empty_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    short = [(language, body) for long, language, body in BLOCKS if not long]
    assert len(short) >= 5
    for language, body in short:
        for command in [body] if language == "python" else body.splitlines():
            words: list[str] = [sys.executable, "-c", command] if language == "python" else ["sh", "-c", command]
            done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert len((tmp_path / "classes.txt").read_text().splitlines()) == 20
    assert [line.split()[2] for line in (tmp_path / "tagged.txt").read_text().splitlines() if line] == [
        "Anna", "Berg", "visited", "Paris", ".",
    ]  # fmt: skip
    assert (tmp_path / "queries.txt").read_text().startswith("SELECT")
