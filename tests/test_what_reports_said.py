"""The table of what reports said beside what the archives hold: differences, and what is not measured says so."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    import what_reports_said

    return what_reports_said


def row(table: str, asked: str) -> list[str]:
    return next(line for line in table.splitlines() if line.startswith(f"| {asked} |")).strip("| ").split(" | ")


def test_without_archives_every_row_says_that_nothing_is_measured(said, tmp_path: Path) -> None:
    rows = said.said_table(tmp_path).splitlines()[2:]
    assert len(rows) == len(said.QUESTIONS)
    assert all("| not measured yet | 0 | open |" in line for line in rows)


def test_reports_differ_as_they_print(said, tmp_path: Path) -> None:
    table = said.said_table(tmp_path)
    assert row(table, "batch norm, batch size 8 against 128")[1] == "A -12.8, C -0.9"
    assert row(table, "own batch norm against torch's")[1] == "A -0.0, B -0.8 (val), C +0.5, D -0.1"
    assert row(table, "no norm against batch norm")[1].startswith("A -16.6, B ")
    assert "A -20.4 (4 groups), A -1.0 (2 groups)" in row(table, "group against batch norm")[1]


def test_a_row_is_the_paired_difference_of_the_archive(said) -> None:
    from normlab.studies import Study

    archive = ROOT / "docs" / "results" / said.IMAGES
    scores = {
        (cell.values["norm"], cell.seed): cell.result["metrics"]["test/accuracy"]
        for cell in Study.open(archive).cells
        if cell.result
    }
    seeds = [seed for norm, seed in scores if norm == "instance" and ("batch", seed) in scores]
    mean = sum(scores["instance", seed] - scores["batch", seed] for seed in seeds) / len(seeds)
    shown = row(said.said_table(archive.parent), "instance against batch norm")
    assert shown[2].split()[0] == f"{100 * mean:+.2f}"
    assert shown[3].startswith(f"{len(seeds)} of ")
