"""An exported image model answers as the model does, and one that does not is not handed over."""

from __future__ import annotations

import json

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


def test_a_torch_program_predicts_as_the_run_does(run, images, tmp_path):
    export(run, "torch", tmp_path / "model.pt2")
    program = torch.export.load(str(tmp_path / "model.pt2")).module()
    logits = program(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(_softmax(logits), _expected(run, images), atol=1e-2)


def test_a_program_that_differs_is_not_handed_over(run, tmp_path, monkeypatch):
    write = writing._write_torch

    def wrong(*arguments):
        reopened = write(*arguments)
        return lambda images: reopened(images) + 0.1

    monkeypatch.setattr(writing, "_write_torch", wrong)
    with pytest.raises(UserError, match="differs from the model"):
        export(run, "torch", tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_model_file(run, tmp_path, capsys):
    assert main(["export", str(run.path), "--to", "safetensors", "--out", str(tmp_path / "m.safetensors")]) == 0
    assert "m.safetensors" in capsys.readouterr().out
    assert load_run(tmp_path / "m.safetensors").config.norm == "batch_instance"
