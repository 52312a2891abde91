"""`normlab doctor`: the extras, and a build of torch that does not fit the machine."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from normlab.cli import doctor, main

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_every_extra_is_named_and_how_to_get_a_missing_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    assert {*doctor._EXTRAS} == {*declared} - {"dev"}
    monkeypatch.setattr(doctor, "find_spec", lambda module: None if module in ("optuna", "onnx") else module)
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["extra tune"] == "pip install 'normlab[tune]' (no optuna)"
    assert told["extra export"] == "pip install 'normlab[export]' (no onnx)"
    assert told["extra ray"] == "installed"


def test_a_cuda_build_without_a_gpu_is_named_with_the_way_to_the_cpu_build() -> None:
    told = doctor._unused_cuda("2.9.1+cu128", "12.8", "cpu")
    assert "built for CUDA 12.8, but no GPU is seen" in told
    assert "pip install 'torch==2.9.1+cpu' --index-url https://download.pytorch.org/whl/cpu" in told
    assert doctor._unused_cuda("2.9.1+cu128", "12.8", "cuda") == ""
    assert doctor._unused_cuda("2.9.1+cpu", None, "cpu") == ""
