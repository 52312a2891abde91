"""Averaged weights: what is measured and saved, while the weights that are trained know nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save_file
from torch import nn

import normlab
from normlab import config
from normlab.config import config_hash
from normlab.engine import loop
from normlab.engine.averaging import WeightAverage, decay_at
from normlab.engine.running import train_run
from normlab.errors import UserError
from normlab.norms.precise import reestimate_statistics
from normlab.runs import RunFolder
from normlab.train_config import TrainConfig

Toy = Any
BASE = TrainConfig(epochs=6, batch_size=16, lr=0.1, schedule="cosine", threads=1, precision="float32", average="ema")


def run(toy: Toy, path: Path, **changes: Any) -> dict[str, Any]:
    settings = BASE.with_values("test", **changes)
    return train_run(toy, settings, RunFolder.create(path, settings, "toy"), quiet=True)


def saved(path: Path, kind: str = "") -> dict[str, torch.Tensor]:
    """Return what `last.safetensors` holds, or one kind of it without its prefix."""
    tensors = load((path / "checkpoints" / "last.safetensors").read_bytes())
    return {name.removeprefix(kind): value for name, value in tensors.items() if name.startswith(kind)}


def chosen(path: Path) -> dict[str, torch.Tensor]:
    return load((path / "checkpoints" / "model.safetensors").read_bytes())


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1).requires_grad_(False))


def test_the_average_is_the_weighted_sum_of_all_weights_so_far() -> None:
    model = small_network()
    weight = model[0].weight
    average = WeightAverage(model, 0.9)
    seen = [weight.detach().clone()]
    for step in range(1, 31):
        with torch.no_grad():
            weight.copy_(torch.randn_like(weight))
        seen.append(weight.detach().clone())
        average.update(step)
    shares = [1.0]
    for decay in [min(0.9, (1 + step) / (10 + step)) for step in range(1, 31)]:
        shares = [share * decay for share in shares] + [1 - decay]
    expected = sum(share * value for share, value in zip(shares, seen, strict=True))
    assert sum(shares) == pytest.approx(1)
    torch.testing.assert_close(average.tensors["0.weight"], expected)


def test_early_weights_lose_their_say() -> None:
    assert decay_at(1, 0.999) == pytest.approx(2 / 11)
    assert decay_at(10**6, 0.999) == 0.999
    kept_of_the_first = 1.0
    for step in range(1, 101):
        kept_of_the_first *= decay_at(step, 0.999)
    assert kept_of_the_first < 1e-9


def test_frozen_weights_and_constants_are_not_averaged() -> None:
    model = small_network()
    model.register_buffer("table", torch.ones(3))
    names = WeightAverage(model, 0.9).tensors.keys()
    assert names == {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"}


def test_in_use_the_model_holds_the_average_in_its_own_tensors_and_gets_its_values_back() -> None:
    model = small_network()
    average = WeightAverage(model, 0.9)
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            tensor.add_(1)
    average.update(1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    averages = {name: value.clone() for name, value in average.tensors.items()}
    places = [value.data_ptr() for value in model.state_dict().values()]
    with average.in_use():
        assert all(torch.equal(model.state_dict()[name], averages[name]) for name in averages)
        assert [value.data_ptr() for value in model.state_dict().values()] == places
        model[1].num_batches_tracked.zero_()
    assert_equal(dict(model.state_dict()), before)
    assert_equal(average.tensors, averages)


def test_an_error_while_it_is_in_use_leaves_the_trained_weights() -> None:
    model = small_network()
    average = WeightAverage(model, 0.9)
    with torch.no_grad():
        model[0].weight.add_(1)
    before = model[0].weight.detach().clone()
    with pytest.raises(ZeroDivisionError), average.in_use():
        raise ZeroDivisionError
    assert torch.equal(model[0].weight, before)


def test_training_goes_on_with_its_own_weights(toy: Toy, tmp_path: Path) -> None:
    run(toy, tmp_path / "ema")
    run(toy, tmp_path / "none", average="none")
    averaged, plain = saved(tmp_path / "ema"), saved(tmp_path / "none")
    assert not any(name.startswith("average.") for name in plain)
    assert_equal({name: value for name, value in averaged.items() if not name.startswith("average.")}, plain)
    losses = [[r["train/online_loss"] for r in RunFolder(tmp_path / name).metrics()] for name in ("ema", "none")]
    assert losses[0] == losses[1]


def test_without_memory_the_average_is_the_last_weights(toy: Toy, tmp_path: Path) -> None:
    without_memory = run(toy, tmp_path / "ema", average_decay=0.0)
    plain = run(toy, tmp_path / "none", average="none")
    assert without_memory["metrics"] == plain["metrics"]
    assert_equal(chosen(tmp_path / "ema"), chosen(tmp_path / "none"))


@pytest.mark.parametrize("select", ["best", "last"])
def test_validation_choice_test_and_saved_model_are_the_average_s(toy: Toy, tmp_path: Path, select: str) -> None:
    result = run(toy, tmp_path / "ema", monitor="val/loss", select=select, epochs=8, lr=0.5, average_decay=0.9)
    plain = run(toy, tmp_path / "none", monitor="val/loss", select=select, epochs=8, lr=0.5, average="none")
    records = RunFolder(tmp_path / "ema").metrics()
    measured = [record["val/loss"] for record in records]
    best = min(range(8), key=measured.__getitem__)
    assert result["best_epoch"] == best + 1
    assert result["metrics"]["val/loss"] == (measured[best] if select == "best" else measured[-1])
    assert result["metrics"] != plain["metrics"]
    if select == "last":
        averages, weights = saved(tmp_path / "ema", "average."), chosen(tmp_path / "ema")
        assert_equal({name: weights[name] for name in averages}, averages)


def stop_before(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loop.Training.run_epoch

    def stopping(self: loop.Training) -> Any:
        if self.counters.epoch == epoch:
            raise KeyboardInterrupt
        return whole(self)

    monkeypatch.setattr(loop.Training, "run_epoch", stopping)


@pytest.mark.parametrize("select", ["best", "last"])
@pytest.mark.parametrize("epoch", [2, 6])
def test_a_resumed_run_ends_with_the_same_bits(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select: str, epoch: int
) -> None:
    changes = {"optimizer": "adam", "lr": 0.01, "select": select}
    straight = run(toy, tmp_path / "straight", **changes)
    folder = RunFolder(tmp_path / "resumed")
    if epoch == 6:  # all epochs are done, but nothing was measured in the end
        monkeypatch.setattr(loop, "measure_final", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    else:
        stop_before(epoch, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(toy, tmp_path / "resumed", **changes)
    monkeypatch.undo()
    resumed = train_run(toy, BASE.with_values("test", **changes), folder, quiet=True)
    assert resumed["metrics"] == straight["metrics"]
    assert_equal(saved(tmp_path / "resumed"), saved(tmp_path / "straight"))
    assert_equal(chosen(tmp_path / "resumed"), chosen(tmp_path / "straight"))


def test_a_checkpoint_without_an_average_is_refused_by_a_run_that_wants_one(toy: Toy, tmp_path: Path) -> None:
    run(toy, tmp_path / "run", epochs=1)
    (tmp_path / "run" / "result.json").unlink()
    last = tmp_path / "run" / "checkpoints" / "last.safetensors"
    kept = {name: value for name, value in saved(tmp_path / "run").items() if not name.startswith("average.")}
    save_file(kept, last, metadata={"counters": "{}", "optimizer": "{}"})
    with pytest.raises(UserError, match=r"last.safetensors: holds no average of 0.weight"):
        train_run(toy, BASE, RunFolder(tmp_path / "run"), quiet=True)


def test_precise_statistics_are_those_of_the_averaged_network(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finalize_statistics(model: nn.Module, data: Any, settings: TrainConfig, placement: Any) -> None:
        reestimate_statistics(model, [data.x["train"]])

    run(toy, tmp_path / "running", average="none", select="last")
    monkeypatch.setattr(toy, "finalize_statistics", finalize_statistics)
    run(toy, tmp_path / "precise", select="last")
    model = toy.build(BASE, {"inputs": 4})
    model.load_state_dict(chosen(tmp_path / "precise"))
    measured = model[1].running_var.clone()
    reestimate_statistics(model, [toy.prepare(BASE).x["train"]])
    torch.testing.assert_close(model[1].running_var, measured)
    assert_equal(saved(tmp_path / "precise", "model."), saved(tmp_path / "running", "model."))


def test_a_diverged_run_stays_a_result(toy: Toy, tmp_path: Path) -> None:
    toy.poison_step = 7
    result = run(toy, tmp_path / "run")
    assert (result["state"], result["diverged"]["step"]) == ("diverged", 7)
    assert all(value.isfinite().all() for value in chosen(tmp_path / "run").values())


def test_rows_that_are_updated_lazily_are_averaged(tmp_path: Path) -> None:
    changes = {"embedding_updates": "lazy", "epochs": 1, "limit_train": 80, "threads": 1, "select": "last"}
    tagger = normlab.train("ner", preset="smoke", out=tmp_path / "ner", average="ema", **changes)
    own, averages = (saved(tagger.path, kind) for kind in ("model.", "average."))
    assert not torch.equal(own["words.weight"], averages["words.weight"])
    assert torch.equal(tagger.model.words.weight, averages["words.weight"])


def test_without_an_average_the_hash_is_that_of_a_time_without_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    now = config_hash(TrainConfig())
    assert config_hash(TrainConfig(average="ema")) != now
    counts = config.affects_result
    monkeypatch.setattr(
        config, "affects_result", lambda kind, name: not name.startswith("average") and counts(kind, name)
    )
    assert config_hash(TrainConfig()) == now
