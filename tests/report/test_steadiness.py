"""Both deviations and the time to a common level, as the report shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import make_study

from normlab.report.sections.shared.steadiness import common_level, deviations_of, reached_by, section
from normlab.report.view import StudyView
from normlab.studies.study import Study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two schemes, three seeds; each run predicts ten images."""
    study = make_study(tmp_path / "study", axes={"norm": ["batch", "none"]}, seeds=3)
    for cell in study.cells:
        wrong = {"batch": 1, "none": 3}[cell.values["norm"]] + cell.seed
        rows = ["label,prediction,probability", *(f"1,{int(number >= wrong)},0.9" for number in range(10))]
        cell.folder.predictions.mkdir(exist_ok=True)
        (cell.folder.predictions / "test.csv").write_text("\n".join(rows) + "\n")
    return study


def test_both_deviations_are_those_of_numpy(study: Study) -> None:
    view = StudyView.read(study)
    found = deviations_of(view, view.variants[0])
    assert found is not None
    scores = np.array([[number >= 1 + seed for number in range(10)] for seed in range(3)], dtype=float)
    assert found.over_seeds == pytest.approx(scores.mean(1).std(ddof=1))
    assert found.over_items == pytest.approx(scores.mean(0).std(ddof=1) / 10**0.5)
    assert (found.seeds, found.items) == (3, 10)


def test_runs_on_other_examples_are_left_out(study: Study) -> None:
    file = study.cells[0].folder.predictions / "test.csv"
    file.write_text(file.read_text().replace("1,0,", "0,0,"))
    view = StudyView.read(study)
    found = deviations_of(view, view.variants[0])
    assert found is not None
    assert found.seeds < 3


def test_the_level_is_the_median_of_the_best_values_and_runs_are_timed_to_it(study: Study) -> None:
    view = StudyView.read(study)
    target = common_level(view)
    assert target is not None
    best = [max(cell.curve("val/accuracy").values()) for cell in view.cells]
    assert target.level == pytest.approx(np.median(best))
    for variant in view.variants:
        reached, seconds = reached_by(variant, target)
        first = [
            min((epoch for epoch, value in cell.curve("val/accuracy").items() if value >= target.level), default=None)
            for cell in variant.cells
        ]
        assert reached.when == [epoch for epoch in first if epoch is not None]
        expected = [
            sum(record["seconds"] for record in cell.epochs if record["epoch"] <= epoch)
            for cell, epoch in zip(variant.cells, first, strict=True)
            if epoch is not None
        ]
        assert seconds == pytest.approx(expected)


def test_the_report_shows_them(study: Study) -> None:
    found = section(StudyView.read(study))
    assert found is not None
    table = found.blocks[-1]
    titles = [column.title for column in table.columns]
    assert {"Over seeds", "Over test examples", "Test examples", "Epoch that reaches it", "Runs"} <= set(titles)
    assert [row[titles.index("Test examples")].text for row in table.rows] == ["10", "10"]


def test_one_seed_without_predictions_still_has_its_curves(tmp_path: Path) -> None:
    view = StudyView.read(make_study(tmp_path / "one", axes={"norm": ["batch", "none"]}))
    found = section(view)
    assert found is not None
    assert "Over test examples" not in [column.title for column in found.blocks[-1].columns]
