"""Other readings that return the same rows make an answer surer."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest

from normlab.apps.ask.agreement import agreement_of
from normlab.apps.ask.answer import Reading
from normlab.apps.ask.confidence import FILE, Calibration, Curve, calibration_of
from normlab.apps.ask.database import Database
from normlab.data.sql.sqlite import QueryError, QueryLimit, QueryResult
from normlab.engine.api import load_run

ROWS = {
    "best": [(1, "a"), (2, "b")],
    "same": [(2, "b"), (1, "a")],
    "other": [(1, "a")],
    "wider": [(1, "a", 0), (2, "b", 0)],
}


def run(sql: str, **_: object) -> QueryResult:
    if sql == "slow":
        raise QueryLimit("time")
    if sql == "broken":
        raise QueryError("no such column")
    return QueryResult(tuple("x" * len(ROWS[sql][0])), ROWS[sql])


def agreement(*readings: tuple[str, float, bool]) -> float | None:
    found = [Reading(sql, probability, by_rule=by_rule) for sql, probability, by_rule in readings]
    return agreement_of(found, run("best"), run)


def test_rows_in_another_order_are_the_same_and_a_query_that_fails_is_another_one() -> None:
    share = agreement(("best", 0.4, False), ("same", 0.2, False), ("other", 0.1, False), ("wider", 0.2, False))
    assert share == pytest.approx(0.6 / 0.9)
    assert agreement(("best", 0.4, False), ("broken", 0.4, False)) == pytest.approx(0.5)
    assert agreement(("best", 0.4, False)) == 1


def test_what_a_rule_wrote_counts_once_with_the_probability_of_what_it_corrected() -> None:
    share = agreement(("best", 0.4, True), ("other", 0.4, False), ("other", 0.3, True), ("same", 0.2, False))
    assert share == 1


def test_readings_that_take_too_long_say_nothing() -> None:
    assert agreement(("best", 0.4, False), ("slow", 0.1, False)) is None


def test_confidence_grows_with_the_agreement() -> None:
    curve = Curve(intercept=-1, slope=1, agreement=2)
    assert curve.confidence(0.5, 0.1) < curve.confidence(0.5, 0.9) < curve.confidence(0.9, 0.9)


def test_the_shipped_model_knows_readings_that_are_compared() -> None:
    calibration = calibration_of(load_run("spider-sql"))
    assert calibration is not None
    assert calibration.compared is not None
    assert (
        calibration.compared.confidence(0.3, 0.2)
        < calibration.confidence(0.3)
        < calibration.compared.confidence(0.3, 1)
    )


def test_an_answer_has_the_confidence_of_its_agreement(shop: Path, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "calibrated"
    shutil.copytree(run, folder)
    content = {"intercept": 5, "slope": 0.01, "compared": {"intercept": 5, "slope": 0.01, "agreement": 0.5}}
    (folder / FILE).write_text(json.dumps(content))
    with Database(shop, folder) as database:
        answer = database.question("How many items are there?", limit=1)
        assert answer.agreement is not None
        assert answer.confidence == Curve(5, 0.01, 0.5).confidence(answer.probability, answer.agreement)
        assert answer.readings[0].confidence == answer.confidence
        assert len(answer.rows) <= 1
        unread = database.question("How many items are there?", run=False)
    assert unread.agreement is None
    assert unread.confidence == Calibration(5, 0.01).confidence(unread.probability)


def test_a_calibration_uses_the_agreement_where_it_is_known() -> None:
    tool = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools" / "calibrate_ask.py"))
    random = np.random.default_rng(0)
    agreement, probability = random.uniform(size=400), random.uniform(0.1, 0.9, 400)
    right = (random.uniform(size=400) < agreement).astype(float)
    databases = np.array([f"db{number % 4}" for number in range(400)])
    agreement[:20] = np.nan
    content = tool["calibration"](probability, agreement, right, databases)
    measured = content["measured"]
    assert measured["questions"] == 400
    assert measured["compared"]["questions"] == 380
    half = [part["right_of_the_most_confident"]["50%"] for part in (measured, measured["compared"])]
    assert half[1] > half[0] + 0.15
    assert content["compared"]["agreement"] > 1
