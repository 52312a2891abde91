"""A run folder whose files were edited, cut short or swapped: one line that names the file, never a traceback."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normlab.errors import UserError
from normlab.json_file import parse_json, read_json_lines
from normlab.runs import RunFolder, RunState
from normlab.runs.result import RESULT_SCHEMA, Divergence, RunResult
from normlab.runs.schema import Card, Environment, EpochRecord, LayersRecord, Result, Status, checked
from normlab.tasks.image.config import ImageConfig

RESULT: dict[str, Any] = {
    "state": "finished",
    "task": "image",
    "headline": "test/accuracy",
    "metrics": {"test/accuracy": 0.5, "val/loss": 1.25},
    "tables": {
        "test": {
            "confusion": [[3, 1], [0, 4]],
            "layers": {"conv": {"p01": 0.0, "gate": [1.0, None]}},
            "entities": {"default": {"all": {"precision": 1.0, "recall": 0.5, "f1": 0.6, "support": 3}}},
            "reliability": [{"confidence": 0.5, "accuracy": 0.4, "count": 3}],
            "worst": [{"words": ["a"], "gold": ["O"], "found": ["B-x"], "loss": 1.0}],
        }
    },
    "diverged": None,
    "epochs": 2,
    "sizes": {"train": 10},
    "seconds": 1.5,
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run", ImageConfig(), "image")
    folder.write_card({"classes": ["a", "b"], "mean": [0.5], "fingerprint": "1"})
    folder.append_metrics({"epoch": 1, "val/loss": 2.0})
    folder.append_layers({"epoch": 1, "layers": {"conv": {"p99": 1.0, "gate": [0.5, float("nan")]}}})
    with folder:
        folder.finish(RESULT)
    return folder


READERS: dict[str, Callable[[RunFolder], object]] = {
    "result.json": RunFolder.result,
    "card.json": RunFolder.card,
    "environment.json": RunFolder.environment,
    "status.json": RunFolder.status,
    "metrics.jsonl": RunFolder.metrics,
    "layers.jsonl": RunFolder.layers,
    "config.yaml": RunFolder.config,
}


def test_what_is_written_is_read_back(folder: RunFolder) -> None:
    assert folder.result() == RESULT
    assert json.loads((folder.path / "result.json").read_text(encoding="utf-8"))["schema"] == RESULT_SCHEMA
    assert folder.layers()[0]["layers"]["conv"]["gate"] == [0.5, None]


def test_a_result_that_is_written_reads_as_its_own_values(folder: RunFolder) -> None:
    diverged = Divergence(epoch=2, step=7, reason="the loss is not finite")
    written = RunResult(state=RunState.DIVERGED, headline="test/accuracy", metrics={}, diverged=diverged, epochs=1)
    folder.finish(written.values())
    assert folder.result() == written.values()
    assert folder.result()["diverged"] == {"epoch": 2, "step": 7, "reason": "the loss is not finite"}
    assert "seconds_per_epoch" not in folder.result()


def test_a_result_from_before_there_was_a_schema_opens(folder: RunFolder) -> None:
    (folder.path / "result.json").write_text(json.dumps(RESULT), encoding="utf-8")
    assert folder.result() == RESULT


def test_a_result_of_a_newer_schema_asks_for_a_newer_normlab(folder: RunFolder) -> None:
    (folder.path / "result.json").write_text(json.dumps({**RESULT, "schema": RESULT_SCHEMA + 1}), encoding="utf-8")
    with pytest.raises(UserError, match=r"result\.json: written by a newer normlab"):
        folder.result()


CONTENTS = {
    "empty": b"",
    "a list": b"[]",
    "a word": b'"x"',
    "null": b"null",
    "cut short": b'{"state": "fini',
    "not UTF-8": b'{"state": "\xff"}\n',
    "half a character": b'{"state": "\\ud800"}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 500 + b"1" + b"}" * 500,
    "a long number": b'{"state": ' + b"1" * 6000 + b"}",
    "beyond a float": b'{"state": 1e999}',
    "a database": b"SQLite format 3\0" + bytes(50),
    "zeros": bytes(50),
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", READERS)
def test_any_damage_is_one_line_that_names_the_file(name: str, content: str, folder: RunFolder) -> None:
    end = b"\n" if name.endswith("jsonl") else b""  # a last line without its end is a torn one, and left out
    (folder.path / name).write_bytes(CONTENTS[content] + end)
    if (name, content) == ("config.yaml", "beyond a float"):
        pytest.skip("YAML reads it as infinity, which the configuration refuses")
    with pytest.raises(UserError) as caught:
        READERS[name](folder)
    assert str(folder.path / name) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", READERS)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_files_place_is_not_waited_for(name: str, folder: RunFolder) -> None:
    (folder.path / name).unlink()
    os.mkfifo(folder.path / name)
    with pytest.raises(UserError, match=r"named pipe|no result"):
        READERS[name](folder)


@pytest.mark.parametrize("name", ["result.json", "card.json", "metrics.jsonl", "config.yaml"])
def test_a_file_that_may_not_be_read_says_so(name: str, folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the system's answer is made up."""
    real = os.open

    def refuse(path: Any, *rest: Any, **options: Any) -> int:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match=rf"{name}: you may not read it.*ask for permission"):
        READERS[name](folder)


def test_a_failing_disk_is_named(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Any, *rest: Any, **options: Any) -> int:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(UserError, match=r"card\.json: the disk fails to read it: check the disk"):
        folder.card()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("result.json", {**RESULT, "metrics": {"test/accuracy": "high"}}, "key 'metrics.test/accuracy' .* a number"),
        ("result.json", {**RESULT, "metrics": {"test/accuracy": True}}, "key 'metrics.test/accuracy' .* a number"),
        ("result.json", {**RESULT, "state": "done"}, "key 'state' should be 'created', .*got 'done'"),
        ("result.json", {**RESULT, "epochs": -1}, "key 'epochs' should not be negative"),
        ("result.json", {k: v for k, v in RESULT.items() if k != "headline"}, "key 'headline' is missing"),
        ("result.json", {**RESULT, "tables": {"test": {"confusion": [[1, 2]]}}}, "as many columns as rows"),
        ("card.json", {"classes": ["a", 3]}, r"key 'classes\.1' should be text, got 3"),
        ("environment.json", {"packages": {"torch": True}}, r"key 'packages\.torch' should be text, got True"),
        ("status.json", {"state": "running", "pid": "7"}, "key 'pid' should be a whole number"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_key(name: str, value: Any, said: str, folder: RunFolder) -> None:
    (folder.path / name).write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(UserError, match=said):
        READERS[name](folder)


def test_a_line_of_a_log_is_named(folder: RunFolder) -> None:
    path = folder.path / "metrics.jsonl"
    for line, said in (
        ({"epoch": [1, 2]}, r"metrics\.jsonl:2: key 'epoch' should be a whole number"),
        ({"epoch": 2, "step": None}, r"metrics\.jsonl:2: key 'step' should be a whole number, got None"),
        ({"epoch": 2, "val/loss": {"a": 1}}, r"metrics\.jsonl:2: key 'val/loss' should be a number"),
        ([], r"metrics\.jsonl:2: expected an object"),
    ):
        path.write_text(json.dumps({"epoch": 1}) + "\n" + json.dumps(line) + "\n", encoding="utf-8")
        with pytest.raises(UserError, match=said):
            folder.metrics()


def test_not_a_number_reads_as_null_in_a_log_and_is_refused_in_a_result(folder: RunFolder) -> None:
    (folder.path / "metrics.jsonl").write_text('{"epoch": 1, "x": NaN, "y": -Infinity}\n', encoding="utf-8")
    assert folder.metrics() == [{"epoch": 1, "x": None, "y": None}]
    (folder.path / "result.json").write_text('{"state": NaN}', encoding="utf-8")
    with pytest.raises(UserError, match="NaN is no number of JSON"):
        folder.result()


def test_a_last_line_torn_inside_a_character_is_left_out(folder: RunFolder) -> None:
    path = folder.path / "metrics.jsonl"
    path.write_bytes(path.read_bytes() + '{"é'.encode()[:-1])
    assert [record["epoch"] for record in folder.metrics()] == [1]


def test_a_key_that_is_asked_for_and_missing_names_the_file(folder: RunFolder) -> None:
    with pytest.raises(UserError, match=r"card\.json: key 'image_size' is missing"):
        folder.card()["image_size"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**40) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KINDS = {
    Result: RESULT,
    Card: {"classes": ["a"], "mean": [0.5], "image_size": [32, 32], "fingerprints": {"vectors": "1"}, "words": ["x"]},
    Environment: {"python": "3", "packages": {"torch": "2"}, "memory_gib": 1.5, "commit": None},
    Status: {"state": "failed", "time": 1.0, "host": "x", "pid": 1, "error": "e"},
    EpochRecord: {"epoch": 1, "val/loss": 1.0},
    LayersRecord: {"epoch": 1, "layers": {"conv": {"p01": 1.0, "gate": [1, 2.5]}}},
}


def places(value: Any) -> list[tuple[Any, ...]]:
    """Return the path of each value inside of another."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(), *((key, *rest) for key, part in inner for rest in places(part))]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_file_with_any_part_replaced_is_accepted_or_one_line(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(KINDS)), label="kind")
    value = {"whole": copy.deepcopy(KINDS[kind])}
    place = ("whole", *data.draw(st.sampled_from(places(KINDS[kind])), label="place"))
    part: Any = value
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = data.draw(json_values, label="replacement")
    said = mistake_of(lambda: checked(value["whole"], kind, "file.json"))
    assert not said or said.startswith("file.json")
    assert len(said.splitlines()) <= 1


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet='{}[]",:0123456789.eE-NaInfity\\u ', max_size=60))
def test_any_text_is_json_or_one_line(text: str) -> None:
    said = mistake_of(lambda: parse_json(text, "file.json"))
    assert not said or said.startswith("file.json")
    assert len(said.splitlines()) <= 1


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=80) | st.text(alphabet='{}[]":1,epoch\n', max_size=80).map(str.encode))
def test_any_bytes_are_lines_of_a_log_or_one_line(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "metrics.jsonl"
    path.write_bytes(content)
    said = mistake_of(lambda: list(read_json_lines(path)))
    assert not said or str(path) in said
    assert len(said.splitlines()) <= 1


def mistake_of(call: Callable[[], object]) -> str:
    """Return what a call tells the user, "" if it succeeds; any other exception is the test's failure."""
    try:
        call()
    except UserError as error:
        return str(error)
    return ""
