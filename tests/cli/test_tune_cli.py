"""The verb tune: its listing, its JSON, its mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normlab.cli import main

GRID = """
title: A tiny search
question: Does it run?
task: image
base: {data: digits, n: 1, epochs: 1, limit_train: 64, batch_size: 32}
axes: {norm: [batch]}
search: {objective: val/accuracy, grid: {lr: [0.01, 0.1]}}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(GRID)
    return path


def test_the_listing_is_that_of_study_plan(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "plan", str(source)]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert main(["tune", str(source), "--plan"]) == 0
    trials = capsys.readouterr().out.splitlines()
    assert trials[1:] == listed[1:]
    assert trials[0] == f"{listed[0]}, 2 trials of each scheme"
    assert main(["tune", str(source), "--plan", "--json"]) == 0
    assert [cell["name"] for cell in json.loads(capsys.readouterr().out)] == [line.split()[0] for line in listed[1:]]


def test_a_search_prints_the_best_of_each_scheme_as_json(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", str(source), "--out", str(tmp_path / "out"), "--workers", "1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert Path(answer["report"]).is_file()
    assert answer["failed"] == []
    [row] = answer["best"]
    assert row["best"]["lr"] in (0.01, 0.1)
    assert 0 <= row["score"] <= 1
    assert "test/accuracy" in row["test"]
    assert main(["study", "status", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count("finished") == 2


def test_a_wrong_flag_offers_the_nearest(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", str(source), "--plam"]) == 2
    assert capsys.readouterr().err.startswith("normlab: unknown flag '--plam': did you mean '--plan'")


def test_a_flag_of_what_is_searched_is_refused(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", str(source), "--plan", "--lr", "0.5"]) == 2
    assert "searches for lr" in capsys.readouterr().err


def test_the_shipped_search_is_listed_with_its_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "studies", "--json"]) == 0
    verbs = {row["name"]: row["run with"] for row in json.loads(capsys.readouterr().out)}
    assert verbs["lr_grid"] == "tune"
    assert verbs["seven_norms"] == "study run"
