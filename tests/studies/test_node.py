"""What a machine of a cluster does with one cell, without a cluster."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from normlab.runs import RunFolder
from normlab.runs.parcel import Parcel, unpack
from normlab.studies.cluster import node
from normlab.studies.cluster.node import Order, train_order
from normlab.tasks import task_settings

CONFIG = {"data": "digits", "n": 1, "epochs": 3, "limit_train": 64, "batch_size": 32, "threads": 1, "norm": "none"}


@pytest.fixture
def order(tmp_path: Path) -> Order:
    (tmp_path / "cells").mkdir()
    (tmp_path / node.TOKEN_FILE).write_text("token")
    return Order("cell", "image", CONFIG, str(tmp_path / "cells"), "token")


def nothing(parcel: Parcel) -> None:
    raise AssertionError("sent a run that lies in the shared folder")


def test_a_machine_that_sees_the_folder_works_in_it(order: Order) -> None:
    answer = train_order(order, {}, nothing)
    assert answer["state"] == "finished"
    assert answer["parcel"] == {}
    assert RunFolder(Path(order.folder) / "cell").done


def test_a_folder_of_the_same_name_on_another_disk_is_not_taken_for_the_studys(order: Order, tmp_path: Path) -> None:
    answer = train_order(replace(order, token="another study's"), {}, lambda parcel: None)
    assert answer["state"] == "finished"
    assert not (tmp_path / "cells" / "cell").exists()
    unpack(answer["parcel"], tmp_path / "home")
    assert RunFolder(tmp_path / "home").result()["state"] == "finished"


def test_a_run_that_is_sent_home_goes_on_elsewhere_to_the_same_bits(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from normlab.engine.loop import Training

    away, sent = replace(order, token=""), list[Parcel]()
    straight = train_order(away, {}, lambda parcel: None)["parcel"]
    train_epoch = Training.run_epoch

    def die_in_the_third(self: Any) -> Any:
        if self.counters.epoch == 2:
            raise KeyboardInterrupt
        yield from train_epoch(self)
        sent.append(node.pack(self.folder.path))

    monkeypatch.setattr(Training, "run_epoch", die_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train_order(away, {}, lambda parcel: None)
    monkeypatch.undo()
    resumed = train_order(away, sent[-1], lambda parcel: None)["parcel"]
    assert b"resuming after epoch 2" in resumed["log.txt"]
    weights, expected = (load(parcel["checkpoints/last.safetensors"]) for parcel in (resumed, straight))
    assert weights.keys() == expected.keys() != set()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_a_run_is_sent_home_while_it_goes_on(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_LOOK_EVERY", 0.001)
    sent: list[Parcel] = []
    train_order(replace(order, token="", config={**CONFIG, "epochs": 6}), {}, sent.append)
    assert any("checkpoints/last.safetensors" in parcel and "result.json" not in parcel for parcel in sent)


def test_a_cell_that_cannot_begin_here_is_refused_and_leaves_no_folder(order: Order, tmp_path: Path) -> None:
    answer = train_order(replace(order, config={**CONFIG, "data": "/no/such/data"}), {}, nothing)
    assert answer["state"] == "refused"
    assert "/no/such/data" in answer["line"]
    assert not (tmp_path / "cells" / "cell").exists()


def test_a_cell_that_somebody_else_writes_to_is_busy(order: Order) -> None:
    config = task_settings("image").config_class.parse(CONFIG, "test")
    with RunFolder.create(Path(order.folder) / "cell", config, "image"):
        assert train_order(order, {}, nothing)["state"] == "busy"


def test_a_finished_cell_is_not_trained_again(order: Order) -> None:
    train_order(order, {}, nothing)
    before = (Path(order.folder) / "cell" / "result.json").stat().st_mtime_ns
    assert train_order(order, {}, nothing)["state"] == "finished"
    assert (Path(order.folder) / "cell" / "result.json").stat().st_mtime_ns == before


def test_a_cell_whose_result_shows_late_is_not_trained_again(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network's file system a look may show an old state; the look after the lock was taken counts."""
    train_order(order, {}, nothing)
    path = Path(order.folder) / "cell"
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file() and file.name != "log.txt"}
    real, old_looks = RunFolder.done.fget, iter([False])
    assert real is not None
    monkeypatch.setattr(RunFolder, "done", property(lambda self: next(old_looks, True) and real(self)))
    assert train_order(order, {}, nothing)["state"] == "finished"
    assert next(old_looks, "all shown") == "all shown"
    now = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file() and file.name != "log.txt"}
    assert now == before


def test_a_clock_that_jumps_back_changes_no_result(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    train_order(order, {}, nothing)
    straight = RunFolder(Path(order.folder) / "cell")
    hours = itertools.count(1_700_000_000, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(hours)))
    train_order(replace(order, cell="other"), {}, nothing)
    assert next(hours) < 1_700_000_000 - 3600  # it was asked
    other = RunFolder(Path(order.folder) / "other")
    assert other.result()["state"] == "finished"
    assert other.result()["seconds"] > 0
    assert [record["val/loss"] for record in other.metrics()] == [record["val/loss"] for record in straight.metrics()]
    assert train_order(replace(order, cell="other"), {}, nothing)["line"] == "was finished already"
