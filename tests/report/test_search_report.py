"""The report of a search: the findings in words, the table of the best, every state a trial can be in."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_study

from normlab.report.blocks import Section, Table
from normlab.report.build import build_report, render
from normlab.report.sections import sections_of
from normlab.report.view import StudyView
from normlab.studies.search_settings import Range, Search
from normlab.studies.study import Study

GRID = Search(objective="val/accuracy", grid={"lr": [0.01, 0.1, 1.0], "momentum": [0.0, 0.9]})
SPACE = Search(
    objective="val/accuracy",
    trials=3,
    space={"lr": Range(low=0.001, high=1.0, log=True), "optimizer": Range(choices=["sgd", "adam"])},
)


def searched(path: Path, search: Search, **states: str) -> Study:
    axes = {"norm": ["batch", "group"], **search.axes()}
    study = make_study(path, axes=axes, states=states, search=search.model_dump(mode="json"), title="Rates")
    assert study.search
    return study


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    states = {"norm-group_lr-1.0_momentum-0.9_seed-0": "diverged", "norm-group_lr-1.0_momentum-0.0_seed-0": "failed"}
    return searched(tmp_path / "grid", GRID, **states)


def search_section(study: Study) -> Section:
    return next(section for section in sections_of(StudyView.read(study)) if section.slug == "search")


def table_named(section: Section, name: str) -> Table:
    return next(block for block in section.blocks if isinstance(block, Table) and block.name == name)


def test_a_search_has_its_own_sections(grid: Study) -> None:
    html = render([StudyView.read(grid)])
    found = re.findall(r"<h2>(.*?)</h2>", html)
    assert found == ["What the search found", "Curves of the best trials", "Configuration", "Environment"]


def test_the_table_has_a_row_for_each_scheme_with_its_best_and_the_ends_of_its_trials(grid: Study) -> None:
    table = table_named(search_section(grid), "search_best")
    titles = [column.title for column in table.columns]
    group = dict(zip(titles, (cell.text for cell in table.rows[1]), strict=True))
    assert group["Scheme"] == "Group norm"
    assert (group["Finished"], group["Diverged"], group["Failed"], group["Pruned"]) == ("4", "1", "1", "0")
    best = max(
        cell.folder.result()["metrics"]["val/accuracy"]
        for cell in grid.cells
        if cell.values["norm"] == "group" and cell.state == "finished"
    )
    assert group["Validation %"] == f"{100 * best:.2f}"


def test_the_test_score_stands_once_it_was_measured(grid: Study) -> None:
    assert table_named(search_section(grid), "search_best").rows[0][4].text == "–"
    best = max(
        (cell for cell in grid.cells if cell.values["norm"] == "batch"),
        key=lambda cell: cell.folder.result()["metrics"]["val/accuracy"],
    )
    (grid.path / "tested.json").write_text(json.dumps({best.name: {"test/accuracy": 0.8765}}))
    assert table_named(search_section(grid), "search_best").rows[0][4].text == "87.65"
    assert "read once per scheme" in render([StudyView.read(grid)])


def test_a_second_look_at_the_test_split_is_owned_up_to(grid: Study) -> None:
    names = [cell.name for cell in grid.cells if cell.values["norm"] == "batch"]
    (grid.path / "tested.json").write_text(json.dumps({name: {"test/accuracy": 0.8} for name in names[:2]}))
    assert "the test split was read for several trials of Batch norm (own)" in render([StudyView.read(grid)])


def test_two_settings_have_an_importance_and_a_panel_each(grid: Study) -> None:
    section = search_section(grid)
    rows = table_named(section, "search_importance").rows
    assert len(rows) == 2
    figure = next(block for block in section.blocks if getattr(block, "name", "") == "search_slices")
    layout: Any = figure.figure.layout  # type: ignore[union-attr]
    assert layout.meta["grid"]["panels"] == 2
    assert layout.xaxis.type == "log"


@pytest.mark.parametrize("state", ["waiting", "running", "interrupted", "failed", "diverged"])
def test_a_search_without_a_score_renders(tmp_path: Path, state: str) -> None:
    axes = GRID.axes()
    names = [
        f"norm-{norm}_lr-{lr}_momentum-{momentum}_seed-0"
        for norm in ("batch", "group")
        for lr in axes["lr"]
        for momentum in axes["momentum"]
    ]
    study = searched(tmp_path, GRID, **dict.fromkeys(names, state))
    html = render([StudyView.read(study)])
    assert "No trial has a score yet." in html
    assert html.count(f"<span>{'interrupted' if state == 'running' else state}</span>") >= 12


def test_a_space_shows_what_was_drawn_and_the_gain_by_trials(tmp_path: Path) -> None:
    study = searched(tmp_path, SPACE)
    section = search_section(study)
    assert [getattr(block, "name", None) for block in section.blocks if block.kind == "figure"] == [
        "search_slices",
        "search_budget",
    ]
    assert table_named(section, "search_best").columns[2].title == "optimizer"


def test_a_pruned_trial_is_counted_and_drawn_as_a_ring(tmp_path: Path) -> None:
    study = searched(tmp_path, SPACE)
    folder = study.cells[0].folder
    result = {**folder.result(), "state": "pruned", "metrics": {}}
    (folder.path / "status.json").write_text(json.dumps({"state": "pruned", "time": 0}))
    (folder.path / "result.json").write_text(json.dumps(result))
    section = search_section(Study.open(study.path))
    titles = [column.title for column in table_named(section, "search_best").columns]
    row = dict(zip(titles, (cell.text for cell in table_named(section, "search_best").rows[0]), strict=True))
    assert (row["Finished"], row["Pruned"]) == ("2", "1")
    figure: Any = next(block for block in section.blocks if getattr(block, "name", "") == "search_slices")
    assert "circle-open" in [trace.marker.symbol for trace in figure.figure.data]


def test_a_report_holds_a_search_beside_a_study(grid: Study, tmp_path: Path) -> None:
    make_study(tmp_path / "other", axes={"norm": ["batch", "group"]})
    html = build_report([grid.path, tmp_path / "other"], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What the search found" in html
    assert "Results on the three splits" in html
