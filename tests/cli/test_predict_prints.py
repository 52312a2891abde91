"""`predict` without --out prints: a class with its probabilities, tagged words, a query."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from normlab.cli import main
from normlab.cli.answers import as_json, as_text

SMALL = ["--scale", "smoke", "--epochs", "1", "--limit-train", "64", "--json"]


def images(count: int, classes: int = 3) -> Iterator[dict[str, Any]]:
    shares = {f"c{index}": (index + 1) / (classes * (classes + 1) / 2) for index in range(classes)}
    top = f"c{classes - 1}"
    for index in range(count):
        yield {"name": f"{index}.png", "class": top, "probability": shares[top], "probabilities": shares}


def test_one_image_shows_its_probabilities_the_largest_first() -> None:
    assert list(as_text("image", images(1))) == [
        "0.png  c2  50.00%",
        "  c2   50.00%",
        "  c1   33.33%",
        "  c0   16.67%",
    ]


def test_several_images_are_a_line_each() -> None:
    assert list(as_text("image", images(3))) == [f"{index}.png  c2  50.00%" for index in range(3)]
    assert list(as_text("image", images(0))) == []


def test_many_classes_are_cut_and_counted() -> None:
    lines = list(as_text("image", images(1, classes=100)))
    assert len(lines) == 1 + 10 + 1
    assert "90 classes more" in lines[-1]


def test_tags_and_queries_come_as_they_are_read() -> None:
    tagged = {"words": ["Anna", "left"], "tags": ["B-per", "O"], "input": "text"}
    assert list(as_text("ner", [tagged])) == ["Anna\tB-per", "left\tO", ""]
    assert list(as_text("text2sql", [{"sql": "SELECT 1"}, {"sql": "SELECT 2"}])) == ["SELECT 1", "SELECT 2"]
    assert [json.loads(line) for line in as_json([tagged])] == [{"words": ["Anna", "left"], "tags": ["B-per", "O"]}]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    assert main(["train", "image", *SMALL, "--out", str(out)]) == 0
    return out


def test_predict_prints_and_writes_nothing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.csv"
    source.write_text(",".join(["7"] * 3072) + "\n", encoding="utf-8")
    before = sorted(run.rglob("*"))
    assert main(["predict", str(run), str(source)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert main(["predict", str(run), str(source), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert lines[0].split()[-2] == record["class"]
    assert main(["predict", str(run), str(source), "--format", "course"]) == 0
    assert int(capsys.readouterr().out) == record["index"]
    assert main(["predict", str(run), str(source), "--format", "cuorse"]) == 2
    assert "did you mean 'course'" in (said := capsys.readouterr().err)
    assert "tmp" not in said
    assert sorted(run.rglob("*")) == before
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_or_nothing_as_input_is_one_line(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert main(["predict", str(run), str(tmp_path / "pipe")]) == 2
    assert "pipe: a named pipe, where a file is wanted" in capsys.readouterr().err
    assert main(["predict", str(run), "/dev/zero"]) == 2
    assert "/dev/zero: a device, where a file is wanted" in capsys.readouterr().err
    assert main(["predict", str(run), str(tmp_path / "missing.png")]) == 2
    assert "missing.png: no such file" in capsys.readouterr().err
