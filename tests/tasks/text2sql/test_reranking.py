"""Hypotheses of a beam in an order that heeds the whole question, not the model's probability alone."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from text2sql_school import ENTRY, SCRIPT

from normlab.data.sql.cells import index_cells
from normlab.data.sql.schema import Schema
from normlab.json_file import read_json
from normlab.tasks.base import Placement
from normlab.tasks.text2sql import predictions
from normlab.tasks.text2sql.config import SETTINGS
from normlab.tasks.text2sql.grammar.linearize import to_actions
from normlab.tasks.text2sql.inputs.questions import questions_of
from normlab.tasks.text2sql.linking.linker import Linker
from normlab.tasks.text2sql.model.decoding import Answer
from normlab.tasks.text2sql.reranking import reranked
from normlab.tasks.text2sql.reranking.features import NAMES, features
from normlab.tasks.text2sql.reranking.reranker import WEIGHTS
from normlab.tasks.text2sql.task import TASK

SCHEMA = Schema.from_entry(ENTRY)


def write_school(folder: Path) -> Path:
    path = folder / "school.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SCRIPT)
    connection.close()
    return path


@pytest.fixture(scope="module")
def linker(tmp_path_factory: pytest.TempPathFactory) -> Linker:
    folder = tmp_path_factory.mktemp("school")
    return Linker(SCHEMA, index_cells(write_school(folder), SCHEMA, folder / "cache"))


def answer(sql: str, log_prob: float = -1.0, refusal: str = "") -> Answer:
    return Answer(sql, log_prob, log_prob, refusal, tuple(to_actions(sql, SCHEMA)))


def named(linker: Linker, question: str, answers: Sequence[Answer]) -> list[dict[str, float]]:
    return [dict(zip(NAMES, row, strict=True)) for row in features(linker.link(question), SCHEMA, answers).tolist()]


def test_what_is_left_out_and_what_nobody_named_are_counted(linker: Linker) -> None:
    question = "What is the average weight of a dog for each kind of pet?"
    whole = answer("SELECT avg(Weight) , Kind FROM Pet WHERE Kind = 'dog' GROUP BY Kind", -0.5)
    poor = answer("SELECT count(*) , Age FROM Student", -2.0)
    of_whole, of_poor = named(linker, question, [whole, poor])
    assert of_whole["named columns left out"] == of_whole["named tables left out"] == of_whole["values left out"] == 0
    assert of_whole["columns without a word"] == of_whole["tables without a word"] == 0
    assert (of_whole["most probable"], of_poor["most probable"]) == (1, 0)
    assert of_poor["named columns left out"] == 2  # weight, kind
    assert of_poor["named tables left out"] == 1  # pet
    assert of_poor["values left out"] == 1  # dog
    assert of_poor["columns without a word"] == 1  # age
    assert of_poor["average: asked alone"] == of_poor["group: asked alone"] == of_poor["count: written alone"] == 1
    assert not any(value for name, value in of_whole.items() if "average" in name or "group: " in name)
    assert (of_whole["where"], of_poor["where"]) == (1, 0)


def test_a_value_in_a_column_that_does_not_hold_it_and_nested_queries(linker: Linker) -> None:
    inner = answer("SELECT Name FROM Student WHERE StuID IN (SELECT StuID FROM Owns)")
    elsewhere = answer("SELECT Name FROM Student WHERE Name = 'Rome'")
    of_inner, of_elsewhere = named(linker, "Which students from Rome own pets?", [inner, elsewhere])
    assert (of_inner["nested queries"], of_elsewhere["nested queries"]) == (1, 0)
    assert of_elsewhere["values whose column is left out"] == 1
    assert of_inner["values left out"] == 1


def test_between_near_probabilities_the_question_decides_and_far_ones_stay(linker: Linker) -> None:
    question = "How many students are older than 20?"
    asked, contrary = "SELECT count(*) FROM Student WHERE Age > 20", "SELECT avg(Age) FROM Student WHERE Age = 20"
    linked = linker.link(question)
    near = [answer(contrary, -1.0), answer(asked, -1.2)]
    assert [one.sql for one in reranked(linked, SCHEMA, near)] == [asked, contrary]
    far = [answer(contrary, -1.0), answer(asked, -30.0)]
    assert [one.sql for one in reranked(linked, SCHEMA, far)] == [contrary, asked]


def test_refused_hypotheses_stay_behind_and_none_is_lost(linker: Linker) -> None:
    linked = linker.link("How many students are there?")
    refused = answer("SELECT count(*) FROM Student", -0.1, "no key")
    others = [answer("SELECT Name FROM Student", -3.0), answer("SELECT Age FROM Student", -4.0)]
    ordered = reranked(linked, SCHEMA, [*others, refused])
    assert ordered[-1] is refused
    assert len(ordered) == 3
    assert reranked(linked, SCHEMA, []) == []
    assert features(linked, SCHEMA, []).shape == (0, len(NAMES))


def test_the_order_does_not_depend_on_the_order_before(linker: Linker) -> None:
    linked = linker.link("What are the names and ages of students from Rome?")
    queries = ["Name", "Age", "Name , Age", "count(*)", "max(Age)"]
    answers = [answer(f"SELECT {what} FROM Student", -0.3 * place) for place, what in enumerate(queries)]
    first = reranked(linked, SCHEMA, answers)
    for seed in range(5):
        shuffled = random.Random(seed).sample(answers, len(answers))
        assert reranked(linked, SCHEMA, shuffled) == first


def test_words_without_any_link_are_no_error() -> None:
    bare = Schema.from_entry({**ENTRY, "foreign_keys": []})
    row = features(Linker(bare, None).link("Hm?"), bare, [answer("SELECT count(*) FROM Student")])
    assert np.isfinite(row).all()


def test_every_feature_has_a_weight_and_what_the_weights_gave_is_recorded() -> None:
    content = read_json(WEIGHTS)
    assert [*content["weights"]] == [*NAMES]
    assert content["weights"]["log probability"] > 0
    measured = content["measured"]
    assert measured["validation"]["held_out"] >= measured["validation"]["first"]
    assert measured["test"]["reranked"] > measured["test"]["first"]


@pytest.mark.parametrize(("opened", "first"), [(True, 1), (False, 0)])
def test_predictions_are_reordered_for_databases_that_are_files(
    opened: bool, first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_school(tmp_path)
    schema = Schema.from_sqlite(path, "school")
    sqls = ["SELECT avg(Age) FROM Student WHERE Age = 20", "SELECT count(*) FROM Student WHERE Age > 20"]
    found = [Answer(sql, -p, -p, "", tuple(to_actions(sql, schema))) for sql, p in zip(sqls, (1.0, 1.2), strict=True)]
    monkeypatch.setattr(predictions, "decode", lambda model, items, *_, **__: ((i, found) for i in range(len(items))))
    config: Any = SETTINGS.make("smoke", {"hidden": 16, "beam_size": 2}, "test")
    card = {**TASK.prepare(config).card, "schemas": [schema.entry()]}
    questions = questions_of(card, tmp_path, "cells", everyday=True)
    model: Any = None
    source = [("How many students are older than 20?", str(path) if opened else "school")]
    [record] = predictions.records(model, source, questions, config, Placement(torch.device("cpu")))
    assert record["alternatives"][0]["sql"] == sqls[first]
    assert len(record["alternatives"]) == 2
