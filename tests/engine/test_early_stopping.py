"""When a run stops early: patience counts epochs, progress is more than `min_delta`, and the best epoch is strict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from normlab.engine.counters import Counters
from normlab.engine.running import train_run
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.tasks.base import Evaluation
from normlab.train_config import TrainConfig

BASE = TrainConfig(epochs=50, batch_size=25, lr=0.1, threads=1, precision="float32")


def follow(
    values: Sequence[float], *, patience: int | None, min_delta: float = 0.0, monitor: str = "val/accuracy"
) -> Counters:
    """Judge a value an epoch until there are no more, or the run would stop."""
    config = BASE.with_values("test", epochs=len(values), patience=patience, min_delta=min_delta)
    counters = Counters()
    while counters.wants_more(config):
        counters.epoch += 1
        counters.judge({monitor: values[counters.epoch - 1]}, monitor, min_delta)
    return counters


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_a_run_stops_after_as_many_epochs_without_progress_as_patience_says(patience: int) -> None:
    counters = follow([0.5, 0.6] + [0.6] * 20, patience=patience)
    assert counters.epoch == 2 + patience
    assert counters.best_epoch == 2


def test_progress_in_the_last_patient_epoch_goes_on() -> None:
    counters = follow([0.5, 0.4, 0.4, 0.6, 0.4, 0.4, 0.4, 0.9], patience=3)
    assert counters.epoch == 7
    assert counters.best_epoch == 4


def test_slow_steady_progress_does_not_stop_a_run() -> None:
    """Each epoch gains less than `min_delta`, two epochs gain more."""
    values = [0.5 + 0.006 * epoch for epoch in range(40)]
    counters = follow(values, patience=3, min_delta=0.01)
    assert counters.epoch == 40
    assert counters.best_epoch == 40


def test_gains_up_to_min_delta_are_no_progress() -> None:
    values = [0.5] + [0.5 + 0.0001 * epoch for epoch in range(1, 20)]
    assert follow(values, patience=4, min_delta=0.01).epoch == 5
    assert follow(values, patience=4, min_delta=0.0).epoch == 20
    assert follow([0.5, 0.625, 0.75, 0.875], patience=1, min_delta=0.125).epoch == 2  # exactly `min_delta` is none


def test_the_reference_is_where_the_last_progress_was() -> None:
    counters = follow([0.5, 0.505, 0.509, 0.512, 0.515], patience=10, min_delta=0.01)
    assert (counters.reference, counters.reference_epoch, counters.stale_epochs) == (0.512, 4, 1)


def test_the_best_epoch_is_the_strictly_best_whatever_min_delta() -> None:
    counters = follow([0.5, 0.501, 0.503, 0.502, 0.503], patience=None, min_delta=0.1)
    assert (counters.best_epoch, counters.best_value) == (3, 0.503)


@pytest.mark.parametrize("monitor", ["val/loss", "val/ece"])
def test_what_is_better_when_small_makes_progress_downwards(monitor: str) -> None:
    counters = follow([0.9, 0.7, 0.8, 0.8, 0.8], patience=2, monitor=monitor)
    assert (counters.epoch, counters.best_epoch) == (4, 2)
    assert follow([0.9 - 0.006 * n for n in range(9)], patience=2, min_delta=0.01, monitor=monitor).epoch == 9


def test_a_checkpoint_without_a_reference_goes_on_from_its_best_value() -> None:
    """As checkpoints were written before the reference had a place of its own."""
    counters = Counters(epoch=3, best_epoch=3, best_value=0.6, stale_epochs=0)
    counters.epoch = 4
    assert counters.judge({"val/accuracy": 0.65}, "val/accuracy", 0.1)
    assert (counters.reference, counters.reference_epoch, counters.stale_epochs) == (0.6, 3, 1)


def scripted(toy: Any, values: Sequence[float]) -> Any:
    """A task whose validation accuracy follows a script."""
    left = list(values)

    def evaluate(model: nn.Module, data: Any, split: str, *rest: Any, final: bool) -> Evaluation:
        value = left.pop(0) if split == "val" and not final and left else 0.0
        return Evaluation({"loss": 1.0, "accuracy": value})

    toy.evaluate = evaluate
    return toy


@pytest.mark.parametrize(("patience", "min_delta", "epochs", "best"), [(2, 0.0, 5, 3), (3, 0.0, 6, 3), (3, 0.25, 4, 3)])
def test_the_loop_stops_saves_the_best_weights_and_says_why(
    toy: Any, tmp_path: Path, patience: int, min_delta: float, epochs: int, best: int
) -> None:
    config = BASE.with_values("test", patience=patience, min_delta=min_delta)
    folder = RunFolder.create(tmp_path / "run", config, "toy")
    result = train_run(scripted(toy, [0.5, 0.6, 0.7] + [0.7] * 40), config, folder, quiet=True)
    assert (result["epochs"], result["best_epoch"], result["stopped_early"]) == (epochs, best, True)
    log = (folder.path / "log.txt").read_text()
    assert f"stopped early after epoch {epochs} of 50: val/accuracy did not improve on " in log
    assert f"(patience {patience}); best epoch 3" in log
    assert ("by more than 0.25" in log) == bool(min_delta)


def test_a_run_that_uses_all_its_epochs_says_nothing_of_stopping(toy: Any, tmp_path: Path) -> None:
    config = BASE.with_values("test", epochs=3, patience=2)
    folder = RunFolder.create(tmp_path / "run", config, "toy")
    result = train_run(scripted(toy, [0.7, 0.6, 0.6]), config, folder, quiet=True)
    assert not result["stopped_early"]
    assert "stopped early" not in (folder.path / "log.txt").read_text()


def test_a_resumed_run_keeps_its_reference(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [0.5, 0.506, 0.507, 0.509, 0.4, 0.4, 0.4]
    config = BASE.with_values("test", patience=4, min_delta=0.01)

    def stop(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    straight = train_run(scripted(toy, values), config, RunFolder.create(tmp_path / "a", config, "toy"), quiet=True)
    folder = RunFolder.create(tmp_path / "b", config, "toy")
    stopping = scripted(toy, values[:2])
    real = stopping.train_batches
    toy.train_batches = lambda c, data, epoch, placement: stop() if epoch == 2 else real(c, data, epoch, placement)
    with pytest.raises(KeyboardInterrupt):
        train_run(stopping, config, folder, quiet=True)
    toy.train_batches = real
    resumed = train_run(scripted(toy, values[2:]), config, folder, quiet=True)
    assert resumed["epochs"] == straight["epochs"] == 5


@pytest.mark.parametrize(
    ("monitor", "problem"),
    [
        ("val/penultimate_spread", "no better side"),
        ("val/acuracy", "'val/acuracy' is not measured after each epoch: did you mean 'val/accuracy'"),
        ("test/accuracy", "the test split is read once, after training: give val/accuracy"),
    ],
)
def test_a_monitor_that_judges_nothing_is_refused_before_an_epoch(
    toy: Any, tmp_path: Path, monitor: str, problem: str
) -> None:
    config = BASE.with_values("test", monitor=monitor)
    folder = RunFolder.create(tmp_path / "run", config, "toy")
    with pytest.raises(UserError, match=problem):
        train_run(toy, config, folder, quiet=True)
    assert folder.metrics() == []
