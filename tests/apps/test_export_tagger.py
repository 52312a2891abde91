"""A tagger as an ONNX file: its emissions, and the page's own way from words to tags, against the run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import normlab
from normlab.apps.export import export
from normlab.apps.export.tagger import tagger_export
from normlab.apps.export.writing import _computed
from normlab.cli import main
from normlab.engine.api import Run, load_run
from normlab.tasks.ner.generated import NAME as GENERATED

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
SMALL = {"hidden": 8, "char_dim": 4, "char_hidden": 4, "epochs": 1, "threads": 1, "precision": "float32"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("tagger") / "run"
    return normlab.train("ner", out=out, preset="smoke", data=GENERATED, characters=True, crf=True, **SMALL)


def program_of_the_page(file: Path) -> dict[str, object]:
    """Run the page's Python on a file, and return its names."""
    [block] = re.findall(r"```python\n(import json, re\n.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(block.replace('"tagger.onnx"', repr(str(file))), names)
    return names


@pytest.mark.slow
def test_the_pages_program_tags_as_the_run_does(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    torch.compiler.reset()
    written = export(run, "onnx", tmp_path / "tagger.onnx")
    assert "sentences of the validation split" in written.compared
    tag = program_of_the_page(tmp_path / "tagger.onnx")["tag"]
    assert callable(tag)
    sentences = [
        ["Berlin"],
        ["Nobody", "saw", "Ann", "Lee", "in", "Rome", "on", "Monday", "."],
        ["x" * 60, "1987", "!"],
    ]
    expected = [record["tags"] for record in run.predict(sentences)]
    assert [tag(sentence) for sentence in sentences] == expected
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "tagger.onnx"), str(PAGE)]) == 2
    assert "of the task ner" in capsys.readouterr().err


def test_generated_sentences_stand_in_for_data_that_are_gone(run: Run, tmp_path: Path) -> None:
    moved = load_run(run.path, device="cpu")
    moved.config = moved.config.with_values("test", data=str(tmp_path / "gone"))
    exportable = tagger_export(moved)
    assert "generated sentences (the data are not at hand" in exportable.described
    for batch in exportable.batches:
        assert _computed(exportable.program, batch).shape[:2] == batch[0].shape
