"""How sure an answer is, and what happens below the threshold."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from normlab.apps.ask.confidence import FILE, NOT_CALIBRATED, Calibration, calibration_of
from normlab.apps.ask.database import Database
from normlab.cli import main
from normlab.engine.api import load_run
from normlab.errors import UserError

QUESTION = "How many items are there?"


@pytest.fixture
def unsure(run: Path, tmp_path: Path) -> Path:
    """A model whose answers are nearly always wrong, by its calibration."""
    folder = tmp_path / "unsure"
    shutil.copytree(run, folder)
    (folder / FILE).write_text(json.dumps({"intercept": -60, "slope": 1}))
    return folder


def test_confidence_grows_with_the_probability_and_is_a_share() -> None:
    curve = Calibration(intercept=2, slope=1)
    values = [curve.confidence(p) for p in (0.0, 1e-9, 0.01, 0.5, 0.99, 1.0)]
    assert all(0 <= low <= high <= 1 for low, high in pairwise(values))
    assert Calibration(0, 1).confidence(0.3) == pytest.approx(0.3)


def test_the_shipped_model_is_calibrated() -> None:
    curve = calibration_of(load_run("spider-sql"))
    assert curve is not None
    assert curve.confidence(0.001) < 0.1 < 0.5 < curve.confidence(0.5)


def test_below_the_threshold_nothing_is_run_and_readings_are_offered(
    shop: Path, unsure: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database(shop, unsure) as database:
        monkeypatch.setattr(database, "run", lambda *_, **__: pytest.fail("a query ran"))
        answer = database.question(QUESTION)
    assert answer.withheld
    assert not answer.rows
    assert len(answer.readings) > 1
    assert "nearest to its words: item" in answer.notes[0]
    assert main(["ask", str(shop), QUESTION, "--model", str(unsure)]) == 1
    captured = capsys.readouterr()
    assert "below 10%" in captured.err
    assert answer.readings[1].sql in captured.out
    assert "row" not in captured.out


def test_a_threshold_of_zero_runs_every_answer(shop: Path, unsure: Path) -> None:
    with Database(shop, unsure, min_confidence=0) as database:
        answer = database.question(QUESTION)
    assert answer.confidence is not None
    assert answer.confidence < 0.01
    assert answer.columns
    assert not answer.withheld


def test_a_model_without_calibration_runs_every_answer_says_so_and_takes_no_threshold(
    shop: Path, unsure: Path, run: Path
) -> None:
    with Database(shop, run) as database:
        assert database.question(QUESTION).confidence is None
        assert NOT_CALIBRATED in database.notes
    with Database(shop, unsure) as database:
        assert NOT_CALIBRATED not in database.notes
    with pytest.raises(UserError, match="never calibrated"):
        Database(shop, run, min_confidence=0.5)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"intercept": 1}',
        '{"intercept": 1, "slope": -1}',
        '{"intercept": 1, "slope": 1, "compared": {"intercept": 1, "slope": 1}}',
        "{",
    ],
)
def test_a_damaged_calibration_is_one_line(shop: Path, unsure: Path, content: str) -> None:
    (unsure / FILE).write_text(content)
    with pytest.raises(UserError, match=FILE) as caught:
        Database(shop, unsure)
    assert "\n" not in str(caught.value)


def test_a_threshold_that_is_no_share_is_refused(shop: Path, unsure: Path) -> None:
    with pytest.raises(UserError, match="from 0 to 1"):
        Database(shop, unsure, min_confidence=1.5)
