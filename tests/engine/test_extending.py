"""`resume --epochs N`: a finished run is trained on, and is never taken for one that had that end from the start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import normlab
from normlab.cli import main
from normlab.config import config_hash
from normlab.engine.extending import extend_run
from normlab.engine.optim import learning_rate
from normlab.errors import UserError
from normlab.runs import RunFolder, RunState

SETTINGS = {"limit_train": 64, "batch_size": 32, "n": 1, "epochs": 2, "threads": 1, "precision": "float32"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("extending") / "run"
    normlab.train("image", out=out, preset="smoke", **SETTINGS)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def test_it_goes_on_after_the_last_epoch_with_the_stretched_schedule(run: Path, capsys) -> None:
    before = normlab.load_run(run)
    old, records = before.result, before.metrics
    assert main(["resume", str(run), "--epochs", "4", "--json"]) == 0
    captured = capsys.readouterr()
    after = normlab.load_run(run)
    assert after.metrics[:2] == records
    assert [record["epoch"] for record in after.metrics] == [1, 2, 3, 4]
    assert json.loads(captured.out)["epochs"] == after.result["epochs"] == 4
    assert after.config.extended_at == (2,)
    first = learning_rate(after.config, 2 * 2, 2)
    assert "goes on after epoch 2 up to epoch 4: the schedule one_cycle is stretched over 4 epochs" in captured.err
    assert f"goes on from {first:.4g} (it had come to {records[-1]['lr']:.4g})" in captured.err
    assert after.metrics[3]["lr"] == pytest.approx(learning_rate(after.config, 7, 2))
    assert after.result["config_hash"] != old["config_hash"]
    assert config_hash(after.config) != config_hash(after.config.with_values("x", extended_at=()))


def test_a_run_that_was_never_extended_keeps_its_hash(finished: Path) -> None:
    run = normlab.load_run(finished)
    assert run.config.extended_at == ()
    assert "extended_at" in type(run.config).model_fields
    assert config_hash(run.config) == run.result["config_hash"]


def test_an_interrupt_after_the_new_end_was_written_is_resumed_to_the_same_bits(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "other")
    extend_run(RunFolder.open(run), 3)
    assert RunFolder.open(run).status()["state"] is RunState.INTERRUPTED
    assert main(["resume", str(run), "--json"]) == 0
    assert main(["resume", str(tmp_path / "other"), "--epochs", "3", "--json"]) == 0
    weights = [folder / "checkpoints" / "model.safetensors" for folder in (run, tmp_path / "other")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_patience_starts_anew(tmp_path: Path) -> None:
    settings = {**SETTINGS, "epochs": 6, "patience": 1, "min_delta": 1.0, "schedule": "constant"}
    run = normlab.train("image", out=tmp_path / "run", preset="smoke", **settings)
    assert run.result["stopped_early"]
    assert run.result["epochs"] == 2  # no epoch gains a whole 1.0
    assert "the learning rate stays 0.1" in extend_run(RunFolder.open(run.path), 6)
    main(["resume", str(run.path), "--json"])
    assert normlab.load_run(run.path).result["epochs"] == 3


@pytest.mark.parametrize(
    ("epochs", "change", "said"),
    [
        (2, {}, "has 2 epochs already: give more than that"),
        (4, {"state": "diverged"}, "has diverged, so there is nothing to train on from"),
        (4, None, "is not finished, so its end stays"),
    ],
)
def test_what_cannot_be_extended_says_why_and_stays(run: Path, epochs: int, change: dict | None, said: str) -> None:
    result = json.loads((run / "result.json").read_text())
    if change is None:
        (run / "result.json").unlink()
    else:
        (run / "result.json").write_text(json.dumps({**result, **change}))
    before = (run / "config.yaml").read_text()
    with pytest.raises(UserError, match=said):
        extend_run(RunFolder.open(run), epochs)
    assert (run / "config.yaml").read_text() == before


def test_a_cell_of_a_study_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir()
    run.rename(tmp_path / "cells" / "a")
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(UserError, match="a cell of a study"):
        extend_run(RunFolder.open(tmp_path / "cells" / "a"), 4)
