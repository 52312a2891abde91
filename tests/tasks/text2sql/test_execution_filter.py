"""The execution filter: the first answer that runs is given, in evaluation and in prediction, and only if asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from normlab.data.sql.sqlite import QueryTimeout
from normlab.errors import UserError
from normlab.tasks.base import Placement
from normlab.tasks.text2sql.config import SETTINGS, Text2SqlConfig
from normlab.tasks.text2sql.inputs.data import Text2SqlData
from normlab.tasks.text2sql.model import decoding
from normlab.tasks.text2sql.model.decoding import Answer, decode
from normlab.tasks.text2sql.task import TASK

CPU = Placement(torch.device("cpu"))
BROKEN, RUNS, LATER = "SELECT nothing FROM nowhere", "SELECT 1", "SELECT 2"
ANSWERS = [Answer(BROKEN, -1.0, -1.0), Answer(RUNS, -2.0, -2.0), Answer(LATER, -3.0, -3.0)]


def config(**changes: Any) -> Text2SqlConfig:
    made = SETTINGS.make("smoke", {"hidden": 16, "beam_size": 3, **changes}, "test")
    assert isinstance(made, Text2SqlConfig)
    return made


@pytest.fixture(scope="module")
def data() -> Text2SqlData:
    return TASK.prepare(config())


@pytest.fixture
def model(data: Text2SqlData) -> Any:
    return TASK.build(config(), data.card).eval()


@pytest.fixture(autouse=True)
def fixed_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question has the same answers, of which the best does not run."""
    monkeypatch.setattr(decoding, "search", lambda model, batch, items, *_, **__: [list(ANSWERS) for _ in items])


@pytest.mark.parametrize(("run", "order"), [(False, [BROKEN, RUNS, LATER]), (True, [RUNS, BROKEN, LATER])])
def test_the_first_answer_that_runs_is_put_in_front(data: Text2SqlData, model: Any, run: bool, order: list[str]):
    items = data.items["test"][:4]
    found = dict(decode(model, items, data.questions, config(), CPU, beam_size=3, run=run))
    assert [[one.sql for one in found[place]] for place in range(4)] == [order] * 4


@pytest.mark.parametrize(("wanted", "sql"), [(True, RUNS), (False, BROKEN)])
def test_the_final_evaluation_heeds_it(data: Text2SqlData, model: Any, wanted: bool, sql: str):
    found = TASK.evaluate(model, data, "test", config(execution_filter=wanted), CPU, final=True)
    assert set(found.predictions["prediction"]) == {f'"{sql}"'}


def test_a_measurement_during_training_does_not_run_queries(data: Text2SqlData, model: Any, monkeypatch: Any):
    monkeypatch.setattr(decoding, "run_query", lambda *_, **__: pytest.fail("a query was run"))
    found = TASK.evaluate(model, data, "val", config(execution_filter=True), CPU, final=False)
    assert found.metrics["exact_match"] == 0.0


@pytest.mark.parametrize(("wanted", "sql"), [(True, RUNS), (False, BROKEN)])
def test_predictions_heed_it(data: Text2SqlData, model: Any, wanted: bool, sql: str):
    [record] = TASK.predict(
        model, [("How many ships are there?", "toy_harbour")], config(execution_filter=wanted), data.card, CPU
    )
    assert record["sql"] == sql
    assert {one["sql"] for one in record["alternatives"]} == {BROKEN, RUNS, LATER}


def test_where_no_answer_runs_the_first_stays(data: Text2SqlData, model: Any, monkeypatch: pytest.MonkeyPatch):
    broken = [Answer(BROKEN, -1.0, -1.0), Answer("SELECT no FROM where", -2.0, -2.0)]
    monkeypatch.setattr(decoding, "search", lambda model, batch, items, *_, **__: [list(broken) for _ in items])
    [(_, found)] = decode(model, data.items["test"][:1], data.questions, config(), CPU, beam_size=2, run=True)
    assert found == broken


def test_a_locked_database_costs_the_filter_and_not_the_answers(data: Text2SqlData, model: Any, monkeypatch: Any):
    def locked(*_: Any, **__: Any) -> None:
        raise UserError("x.sqlite is locked by another program")

    monkeypatch.setattr(decoding, "run_query", locked)
    [(_, found)] = decode(model, data.items["test"][:1], data.questions, config(), CPU, beam_size=3, run=True)
    assert found == ANSWERS


def test_a_database_without_a_file_leaves_the_order(tmp_path: Path, model: Any):
    elsewhere = TASK.prepare(config(databases=str(tmp_path)))
    [(_, found)] = decode(model, elsewhere.items["test"][:1], elsewhere.questions, config(), CPU, beam_size=3, run=True)
    assert found == ANSWERS


def test_a_query_is_asked_for_one_row_only(data: Text2SqlData, model: Any, monkeypatch: pytest.MonkeyPatch):
    asked: list[dict[str, Any]] = []
    run_query = decoding.run_query
    monkeypatch.setattr(
        decoding, "run_query", lambda *args, **options: (asked.append(options), run_query(*args, **options))[1]
    )
    list(decode(model, data.items["test"][:1], data.questions, config(), CPU, beam_size=3, run=True))
    assert [options["max_rows"] for options in asked] == [1, 1]


def test_an_answer_that_only_a_limit_stopped_keeps_its_place(data: Text2SqlData, model: Any, monkeypatch: Any):
    def run(database: Path, sql: str, **_: Any) -> None:
        raise QueryTimeout("the query did not end in time")

    monkeypatch.setattr(decoding, "run_query", run)
    [(_, found)] = decode(model, data.items["test"][:1], data.questions, config(), CPU, beam_size=3, run=True)
    assert found == ANSWERS
