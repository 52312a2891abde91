"""The README tells the truth: its commands run as they stand, its Python runs, its links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.cli import _parser

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:<!-- long: (.*?) -->\n)?```(bash|python)\n(.*?)```", TEXT, re.DOTALL)
DONE_BY_THE_TESTS_OWN_SETUP = ("make ", ". .venv", "pip install")


def commands(*, long: bool) -> list[str]:
    return [
        line
        for reason, language, body in BLOCKS
        if language == "bash" and bool(reason) is long
        for line in body.strip().splitlines()
        if not line.startswith(DONE_BY_THE_TESTS_OWN_SETUP)
    ]


def test_the_readme_has_commands_of_both_kinds() -> None:
    assert len(commands(long=False)) >= 6
    assert len(commands(long=True)) >= 3


def test_its_short_commands_run_in_order_in_an_empty_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    short = commands(long=False)
    assert short
    for command in short:
        done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("command", commands(long=True))
def test_its_long_commands_are_understood_by_the_parser(command: str) -> None:
    words = command.split()
    assert words[0] == "normlab"
    assert _parser(words[1:]).parse_args(words[1:]).run


def test_its_python_runs(tmp_path: Path) -> None:
    for _, language, body in BLOCKS:
        if language == "python":
            subprocess.run([sys.executable, "-c", body], cwd=tmp_path, check=True, capture_output=True)


def test_its_make_targets_exist() -> None:
    targets = re.findall(r"^make (\w+)", TEXT, re.MULTILINE)
    assert targets
    for target in targets:
        done = subprocess.run([shutil.which("make") or "make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))))
def test_its_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
