"""The training loop: resumable to the bit, honest about splits, calm about divergence."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from normlab.engine import loop
from normlab.engine.quick_optimizers import QuickSGD
from normlab.engine.running import train_run
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.train_config import TrainConfig

Toy = Any
BASE = TrainConfig(epochs=6, batch_size=16, lr=0.1, schedule="cosine", threads=1, precision="float32")


def run(toy: Toy, path: Path, **changes: Any) -> dict[str, Any]:
    config = BASE.with_values("test", **changes)
    return train_run(toy, config, RunFolder.create(path, config, "toy"), quiet=True)


def saved(path: Path) -> dict[str, torch.Tensor]:
    return load((path / "checkpoints" / "last.safetensors").read_bytes())


@pytest.mark.parametrize(
    ("optimizer", "clipping"),
    [
        *((rule, {"clip_norm": 1.0}) for rule in ("sgd", "adam", "adamw", "muon", "adadelta", "adagrad", "rmsprop")),
        ("sgd", {"clip_adaptive": 0.01}),
    ],
)
def test_a_resumed_run_ends_with_the_same_bits(
    toy: Toy, optimizer: str, clipping: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"optimizer": optimizer, "lr": 0.01, **clipping}
    straight = run(toy, tmp_path / "straight", **changes)

    stopped = loop.Training.run_epoch

    def stop_after_two(self: loop.Training) -> Any:
        if self.counters.epoch == 2:
            raise KeyboardInterrupt
        return stopped(self)

    monkeypatch.setattr(loop.Training, "run_epoch", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        run(toy, tmp_path / "resumed", **changes)
    monkeypatch.undo()
    folder = RunFolder.open(tmp_path / "resumed")
    assert folder.status()["state"] == "interrupted"
    resumed = train_run(toy, BASE.with_values("x", **changes), folder, quiet=True)

    assert straight["metrics"] == resumed["metrics"]
    assert [r["train/online_loss"] for r in RunFolder(tmp_path / "straight").metrics()] == [
        r["train/online_loss"] for r in folder.metrics()
    ]
    one, other = saved(tmp_path / "straight"), saved(tmp_path / "resumed")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(toy: Toy, tmp_path: Path) -> None:
    first, again, other = (
        run(toy, tmp_path / name, seed=seed)["metrics"] for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first != other


def test_the_test_split_is_read_once_and_after_training(toy: Toy, tmp_path: Path) -> None:
    run(toy, tmp_path / "run", epochs=3)
    assert toy.splits_read == ["train", "val"] * 3 + ["train", "val", "test"]


def test_the_tested_weights_are_those_of_the_best_validation_epoch(toy: Toy, tmp_path: Path) -> None:
    result = run(toy, tmp_path / "run", monitor="val/loss", lr=0.5, epochs=12)
    records = RunFolder(tmp_path / "run").metrics()
    best = min(records, key=lambda record: record["val/loss"])
    assert result["best_epoch"] == best["epoch"]
    assert result["metrics"]["val/loss"] == best["val/loss"]


def test_select_last_tests_the_last_weights(toy: Toy, tmp_path: Path) -> None:
    result = run(toy, tmp_path / "run", monitor="val/loss", lr=0.5, epochs=12, select="last")
    assert result["metrics"]["val/loss"] == RunFolder(tmp_path / "run").metrics()[-1]["val/loss"]


def test_patience_stops_the_run_early(toy: Toy, tmp_path: Path) -> None:
    result = run(toy, tmp_path / "run", epochs=200, patience=3, min_delta=0.01)
    assert result["stopped_early"]
    assert result["epochs"] < 200


def test_a_loss_that_is_not_finite_ends_the_run_as_diverged_with_the_step(toy: Toy, tmp_path: Path) -> None:
    toy.poison_step = 7
    result = run(toy, tmp_path / "run")
    assert result["state"] == "diverged"
    assert (result["diverged"]["epoch"], result["diverged"]["step"]) == (2, 7)
    assert RunFolder(tmp_path / "run").status()["state"] == "diverged"
    assert result["metrics"] == {}


def test_a_device_that_is_read_once_an_epoch_names_the_same_step_and_layer(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU does, on a CPU: losses are looked at when the epoch's steps are over."""
    toy.poison_step = 7
    at_once = run(toy, tmp_path / "at-once")["diverged"]
    monkeypatch.setattr(loop, "FiniteWatch", partial(loop.FiniteWatch, immediate=False))
    assert run(toy, tmp_path / "late")["diverged"] == at_once
    assert (at_once["epoch"], at_once["step"]) == (2, 7)
    assert at_once["reason"].endswith("step 7 (epoch 2): first in the input of 0 (Linear)")


def test_what_does_not_happen_a_second_time_is_said(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "FiniteWatch", partial(loop.FiniteWatch, immediate=False))
    toy.poison_step, toy.poisoned_once = 7, True
    diverged = run(toy, tmp_path / "run")["diverged"]
    assert (diverged["epoch"], diverged["step"]) == (2, 7)
    assert diverged["reason"].endswith("it did not happen again when the epoch was gone through a second time")


def test_an_epoch_that_was_recorded_but_not_saved_is_recorded_once(toy: Toy, tmp_path: Path) -> None:
    """A crash between the metrics and the checkpoint leaves the line of an epoch whose weights are lost."""
    run(toy, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    straight = folder.metrics()
    (tmp_path / "run" / "result.json").unlink()
    folder.append_metrics({**straight[-1], "epoch": BASE.epochs + 1})
    train_run(toy, BASE, folder, quiet=True)
    assert [record["epoch"] for record in folder.metrics()] == [record["epoch"] for record in straight]
    assert f"resuming after epoch {BASE.epochs}" in (tmp_path / "run" / "log.txt").read_text()


def test_the_smaller_last_batch_weighs_by_its_size(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With frozen weights the online mean over 16+16+16+2 images equals the mean over all 50."""
    monkeypatch.setattr(QuickSGD, "step", lambda self, closure=None: None)
    plain = lambda config, card: torch.nn.Linear(4, 2)  # noqa: E731 - no dropout, no batch statistics
    monkeypatch.setattr(toy, "build", plain)
    run(toy, tmp_path / "run", epochs=1)
    record = RunFolder(tmp_path / "run").metrics()[0]
    assert record["train/online_loss"] == pytest.approx(record["train/loss"], rel=1e-5)
    assert record["train/online_accuracy"] == pytest.approx(record["train/accuracy"])


def test_an_unknown_monitor_names_what_is_measured(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"monitor: 'val/acuracy' is not measured.*did you mean 'val/accuracy'"):
        run(toy, tmp_path / "run", monitor="val/acuracy")
    assert RunFolder(tmp_path / "run").status()["state"] == "failed"


def test_a_finished_run_is_not_trained_again(toy: Toy, tmp_path: Path) -> None:
    result = run(toy, tmp_path / "run")
    toy.splits_read.clear()
    assert train_run(toy, BASE, RunFolder(tmp_path / "run"), quiet=True) == result
    assert toy.splits_read == []


def test_other_data_under_a_begun_run_are_refused(toy: Toy, tmp_path: Path) -> None:
    run(toy, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    prepared = toy.prepare(BASE)
    prepared.fingerprint = "other"
    toy.prepare = lambda config: prepared
    with pytest.raises(UserError, match="trained on data toy, but these are other"):
        train_run(toy, BASE, RunFolder(tmp_path / "run"), quiet=True)


def test_scalars_reach_tensorboard(toy: Toy, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(toy, tmp_path / "run", epochs=3)
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    logged = [event.value for event in events.Scalars("val/loss")]
    assert logged == pytest.approx([record["val/loss"] for record in RunFolder(tmp_path / "run").metrics()])
