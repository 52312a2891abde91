"""Runs that share a process: each ends with the bits it has alone; one that fails or is stopped harms no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from normlab.engine.running import running, train_run
from normlab.engine.together import train_together
from normlab.runs import RunFolder
from normlab.train_config import TrainConfig

Toy = Any
BASE = TrainConfig(epochs=3, batch_size=16, lr=0.1, schedule="cosine", threads=1, precision="float32")


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load((path / "checkpoints" / "last.safetensors").read_bytes())


@pytest.mark.parametrize(("width", "average"), [(2, "none"), (3, "none"), (2, "ema")])
def test_each_run_equals_its_run_alone_to_the_bit_dropout_included(
    toy: Toy, tmp_path: Path, width: int, average: str
) -> None:
    configs = [BASE.with_values("test", seed=seed, epochs=2 + seed, average=average) for seed in range(3)]
    alone = [train_run(toy, c, RunFolder.create(tmp_path / f"a{c.seed}", c, "toy"), quiet=True) for c in configs]
    folders = [RunFolder.create(tmp_path / f"b{config.seed}", config, "toy") for config in configs]
    runs = (running(toy, config, folder, quiet=True) for config, folder in zip(configs, folders, strict=True))
    found = train_together(runs, width)
    assert [result["metrics"] for result in found] == [result["metrics"] for result in alone]
    for seed in range(3):
        one, other = weights(tmp_path / f"a{seed}"), weights(tmp_path / f"b{seed}")
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_steps_of_live_runs_take_turns_and_a_run_begins_when_a_place_is_free() -> None:
    order: list[str] = []

    def run(name: str, steps: int) -> Any:
        for step in range(steps):
            order.append(f"{name}{step}")
            yield
        return name

    assert train_together([run("a", 2), run("b", 1), run("c", 2)], 2) == ["a", "b", "c"]
    assert order == ["a0", "b0", "a1", "c0", "c1"]


def test_a_run_that_raises_is_told_and_the_others_go_on() -> None:
    def good() -> Any:
        yield
        yield
        return "done"

    def bad() -> Any:
        yield
        raise ValueError("broken")

    first, second = train_together([bad(), good()], 2)
    assert isinstance(first, ValueError)
    assert second == "done"


def test_an_interruption_reaches_every_begun_run(toy: Toy, tmp_path: Path) -> None:
    folders = [RunFolder.create(tmp_path / f"r{number}", BASE, "toy") for number in range(2)]

    def interrupting() -> Any:
        yield
        yield
        raise KeyboardInterrupt

    runs = [running(toy, BASE, folder, quiet=True) for folder in folders]
    with pytest.raises(KeyboardInterrupt):
        train_together([*runs, interrupting()], 3)
    assert [folder.status()["state"] for folder in folders] == ["interrupted"] * 2
