"""`precision: auto` is measured once on a machine, recorded in a run, and kept when the run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import normlab
from normlab.engine import device, precision
from normlab.engine.device import choose_placement
from normlab.train_config import TrainConfig

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(precision, "cache_root", lambda: tmp_path / "cache")
    precision._speedup.cache_clear()
    yield tmp_path / "cache" / "precision.json"
    precision._speedup.cache_clear()


@pytest.fixture
def fast_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (device, precision):
        monkeypatch.setattr(module, "has_fast_bfloat16", lambda place: True)


def test_the_faster_one_is_chosen() -> None:
    assert precision.judge(1.8).precision == "bfloat16"
    assert precision.judge(0.9).precision == "float32"
    assert "0.90 times as fast" in precision.judge(0.9).reason


@pytest.mark.usefixtures("fast_bfloat16")
def test_the_measurement_is_kept_for_the_machine(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = iter([0.5, 3.0])
    monkeypatch.setattr(precision, "_measure", lambda: next(measured))
    assert precision.automatic_precision(CPU).precision == "float32"
    assert list(json.loads(cache.read_text()).values()) == [0.5]
    precision._speedup.cache_clear()
    assert precision.automatic_precision(CPU).precision == "float32"  # read back, not measured again


@pytest.mark.usefixtures("fast_bfloat16")
def test_a_damaged_cache_is_measured_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir()
    cache.write_text("[]")
    monkeypatch.setattr(precision, "_measure", lambda: 2.0)
    assert precision.automatic_precision(CPU).precision == "bfloat16"


def test_without_hardware_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda place: False)
    monkeypatch.setattr(precision, "_measure", lambda: pytest.fail("measured"))
    assert precision.automatic_precision(CPU).precision == "float32"


def test_measuring_moves_no_random_stream() -> None:
    before = torch.get_rng_state()
    assert precision._measure() > 0
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.usefixtures("fast_bfloat16")
def test_what_a_run_has_recorded_is_kept() -> None:
    assert choose_placement(TrainConfig(), "float32").precision == "float32"
    assert choose_placement(TrainConfig(precision="bfloat16"), "float32").precision == "bfloat16"


def test_a_run_says_and_records_its_precision(tmp_path: Path) -> None:
    settings = {"data": "digits", "n": 1, "epochs": 1, "limit_train": 64, "batch_size": 32}
    run = normlab.train("image", out=tmp_path / "run", **settings)
    assert run.folder.card()["precision"] == run.result["precision"]
    assert f"precision: {run.result['precision']} (" in (run.path / "log.txt").read_text()


def test_a_trained_model_is_not_used_in_an_emulated_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"data": "digits", "n": 1, "epochs": 1, "limit_train": 64, "batch_size": 32, "precision": "bfloat16"}
    run = normlab.train("image", out=tmp_path / "run", **settings)
    for has_it, used in ((False, "float32"), (True, "bfloat16")):
        monkeypatch.setattr(device, "has_fast_bfloat16", lambda place, has_it=has_it: has_it)
        opened = normlab.load_run(run.path)
        assert opened.placement.precision == used
        assert choose_placement(opened.config).precision == "bfloat16"  # training goes on as it was asked to
        notes = opened.measure("test").notes
        assert ("computed in float32, trained in bfloat16: last digits may differ" in notes) is not has_it
