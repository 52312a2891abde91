"""A report over many runs: one whose file is damaged is named and left out; a single one is a mistake in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from synthetic import make_run, make_study

from normlab.cli import main
from normlab.errors import UserError
from normlab.report import build_report
from normlab.studies.sources import collect_studies
from normlab.studies.study import Study

DAMAGE = {
    "result.json": {"state": "finished", "headline": "test/accuracy", "metrics": {"test/accuracy": "high"}},
    "card.json": [],
    "environment.json": {"packages": {"torch": True}},
    "status.json": [],
    "metrics.jsonl": {"epoch": [1, 2]},
    "layers.jsonl": {"epoch": 1, "layers": 3},
    "config.yaml": ["image"],
}


def damage(run: Path, name: str) -> None:
    (run / name).write_text(json.dumps(DAMAGE[name]) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_run_is_named_and_left_out_of_a_report_over_many(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, norm in enumerate(("batch", "group", "layer")):
        make_run(tmp_path / "runs" / norm, {"norm": norm}, seed=index, epochs=2)
    damage(tmp_path / "runs" / "group", name)
    out = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "runs"), "--out", str(out)]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"normlab: left out: {tmp_path / 'runs' / 'group' / name}:")
    html = out.read_text(encoding="utf-8")
    assert "Left out, because a file is damaged" in html
    assert "2 runs" in html


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_single_run_is_one_line_and_no_report(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run", {"norm": "batch"}, epochs=2)
    damage(tmp_path / "run", name)
    assert main(["report", str(tmp_path / "run")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert str(tmp_path / "run" / name) in lines[0]
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_damaged_cell_of_a_study_is_left_out_of_report_status_and_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path / "s", axes={"norm": ["batch", "group", "none"]}, epochs=2)
    damage(study.cells[1].folder.path, "result.json")
    for words in (
        ["report", str(study.path)],
        ["study", "report", str(study.path)],
        ["study", "status", str(study.path)],
    ):
        assert main(words) == 0
        captured = capsys.readouterr()
        assert "left out" in captured.err
        assert str(study.cells[1].folder.path / "result.json") in captured.err
        assert len(captured.err.splitlines()) == 1
    assert main(["list", "runs", str(tmp_path)]) == 0
    assert "damaged" in capsys.readouterr().out


def test_readable_keeps_what_is_whole(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s", axes={"norm": ["batch", "group"]}, epochs=2)
    assert study.readable() == study
    damage(study.cells[0].folder.path, "card.json")
    readable = Study.open(study.path).readable()
    assert [cell.name for cell in readable.cells] == [study.cells[1].name]
    assert len(readable.left_out) == 1


def test_a_study_without_any_whole_cell_is_one_line(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s", axes={"norm": ["batch"]}, epochs=2)
    damage(study.cells[0].folder.path, "metrics.jsonl")
    with pytest.raises(UserError, match=r"metrics\.jsonl:1: key 'epoch'"):
        build_report([study.path], tmp_path / "r.html")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"axes": {}}, "not of the study's axes"),
        ({"axes": []}, "key 'axes' should be an object"),
        ({"cells": None}, "key 'cells' should be a list"),
        ({"cells": [{"name": "../x", "values": {"norm": "batch"}, "seed": 0}]}, "leads out of the study's folder"),
        ({"cells": [{"name": "x", "values": {"norm": "batch"}, "seed": 0}] * 2}, "stands twice"),
        ({"claims": ["x"]}, r"key 'claims\.0' should be an object"),
        ({"title": None}, "key 'title' should be text"),
        ({"search": 3}, "key 'search' should be an object"),
    ],
)
def test_a_damaged_plan_is_one_line(change: dict[str, object], said: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "s", axes={"norm": ["batch"]}, epochs=2)
    plan = json.loads((study.path / "study.json").read_text(encoding="utf-8"))
    (study.path / "study.json").write_text(json.dumps({**plan, **change}), encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        Study.open(study.path)
    assert str(caught.value).startswith(str(study.path / "study.json"))


def test_a_plan_may_hold_keys_that_this_version_does_not_know(tmp_path: Path) -> None:
    study = make_study(tmp_path / "s", axes={"norm": ["batch"]}, epochs=2, threads=2)
    assert collect_studies([study.path])[0].axes == {"norm": ["batch"]}
