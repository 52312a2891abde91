"""An exported image model answers as the model does, and one that does not is not handed over."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from normlab.apps.export import export, writing
from normlab.cli import main
from normlab.engine.api import load_run, train
from normlab.errors import UserError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train("image", out=tmp_path_factory.mktemp("export") / "run", preset="smoke", norm="batch_instance")


def _expected(run, images):
    return np.array([list(record["probabilities"].values()) for record in run.predict(images)])


def _softmax(logits):
    return torch.from_numpy(logits).softmax(1).numpy()


@pytest.fixture
def images(run):
    size = run.folder.card()["image_size"]
    return np.random.default_rng(1).integers(0, 256, (5, 3, *size), dtype=np.uint8)


def test_an_onnx_file_predicts_as_the_run_does_at_any_batch_size(run, images, tmp_path):
    pytest.importorskip("onnx", reason="the extra `export` is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    written = export(run, "onnx", tmp_path / "model.onnx")
    assert "the validation split of" in written.compared
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        logits = session.run(None, {"images": images[:count]})[0]
        np.testing.assert_allclose(_softmax(logits), _expected(run, images[:count]), atol=1e-2)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["labels"]) == run.folder.card()["classes"]


@pytest.fixture(scope="module")
def onnx_file(run, tmp_path_factory):
    pytest.importorskip("onnx", reason="the extra `export` is not installed")
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export(run, "onnx", path)
    return path


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="the extra `parquet` is not installed")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (20 + number, 15, 3), dtype=np.uint8)
        image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\nno")
    return folder


def test_predict_reads_an_onnx_file_as_it_reads_the_run(run, onnx_file, pictures, tmp_path, capsys):
    for model, out in ((onnx_file, "onnx.jsonl"), (run.path, "run.jsonl")):
        assert main(["predict", str(model), str(pictures), "--out", str(tmp_path / out)]) == 1  # one is broken
    read, expected = (
        [json.loads(line) for line in (tmp_path / out).read_text().splitlines()] for out in ("onnx.jsonl", "run.jsonl")
    )
    assert [record["name"] for record in read] == [record["name"] for record in expected]
    for got, wanted in zip(read, expected, strict=True):
        assert got.keys() == wanted.keys()
        if "error" not in got:
            assert got["class"] == wanted["class"]
            assert got["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-2)
    capsys.readouterr()
    assert main(["predict", str(onnx_file), str(pictures / "0.png")]) == 0
    assert capsys.readouterr().out.startswith(f"0.png  {read[0]['class']}  ")


def _one_line(words, capsys):
    assert main(list(map(str, words))) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_an_onnx_file_of_another_program_is_refused_in_one_line(onnx_file, pictures, tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(onnx_file)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "strange.onnx")
    assert "of another program" in _one_line(["predict", tmp_path / "strange.onnx", pictures], capsys)
    (tmp_path / "text.onnx").write_text("no model")
    assert "no ONNX file that can be run" in _one_line(["predict", tmp_path / "text.onnx", pictures], capsys)
    assert "no such file" in _one_line(["predict", tmp_path / "none.onnx", pictures], capsys)
    assert "leave out --device" in _one_line(["predict", onnx_file, pictures, "--device", "cuda"], capsys)
    assert "leave out --columns" in _one_line(["predict", onnx_file, pictures, "--columns", "word"], capsys)


def test_without_onnxruntime_the_line_names_the_extra(onnx_file, pictures, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'normlab[export]'" in _one_line(["predict", onnx_file, pictures], capsys)


def test_a_torch_program_predicts_as_the_run_does(run, images, tmp_path, capfd):
    capfd.readouterr()
    export(run, "torch", tmp_path / "model.pt2")
    assert capfd.readouterr().err == ""
    program = torch.export.load(str(tmp_path / "model.pt2")).module()
    logits = program(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(_softmax(logits), _expected(run, images), atol=1e-2)


def test_a_program_that_differs_is_not_handed_over(run, tmp_path, monkeypatch):
    write = writing._write_torch

    def wrong(*arguments):
        reopened = write(*arguments)
        return lambda *inputs: reopened(*inputs) + 0.1

    monkeypatch.setattr(writing, "_write_torch", wrong)
    with pytest.raises(UserError, match="differs from the model"):
        export(run, "torch", tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_model_file(run, tmp_path, capsys):
    assert main(["export", str(run.path), "--to", "safetensors", "--out", str(tmp_path / "m.safetensors")]) == 0
    assert "m.safetensors" in capsys.readouterr().out
    assert load_run(tmp_path / "m.safetensors").config.norm == "batch_instance"


@pytest.mark.parametrize("form", ["onnx", "torch"])
def test_a_text_to_sql_model_is_refused_with_the_reason(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "spider-sql", "--to", form, "--out", str(tmp_path / "model")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "is Python that no such program holds: use --to safetensors" in line
    assert not (tmp_path / "model").exists()
