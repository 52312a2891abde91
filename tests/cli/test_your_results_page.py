"""docs/your-results.md holds what it says: its program and its commands run, in order, in one folder."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
import torch

from normlab.cli import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "your-results.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [body for named, body in fences if named == language]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's program has run and its claims stand."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    folder, before, threads = tmp_path_factory.mktemp("page"), Path.cwd(), torch.get_num_threads()
    os.chdir(folder)
    try:
        exec(compile(blocks("python")[0], "program", "exec"), {})
    finally:
        os.chdir(before)
        torch.set_num_threads(threads)
    (folder / "claims.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    return folder


@pytest.fixture
def folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the working folder."""
    monkeypatch.chdir(made)
    return made


def test_the_pages_commands_and_python_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(commands) >= 9
    for command in commands:
        assert main(shlex.split(command, comments=True)[1:]) == 0, command
    out, err = capsys.readouterr()
    said = next(line for block in blocks("") for line in block.splitlines() if line.startswith("normlab: "))
    assert said in err.splitlines()
    assert next(line for block in blocks("") for line in block.splitlines() if line.startswith("5 paired")) in out
    report = (folder / "results.html").read_text(encoding="utf-8")
    assert "Group norm is at least as good." in report
    curves = (folder / "tb.html").read_text(encoding="utf-8")
    assert "by step" in curves
    exec(compile(blocks("python")[1], "notebook", "exec"), {})


def test_event_files_and_table_hold_the_same_numbers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "results.csv", "tb"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "= +0.00 points, n = 6 pairs" in line


def test_without_tensorboard_one_line_says_what_to_install(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("normlab.studies.foreign.tensorboard.find_spec", lambda name: None)
    assert main(["report", "tb"]) == 2
    assert "pip install 'normlab[tensorboard]'" in capsys.readouterr().err
