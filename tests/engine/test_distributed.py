"""One run by two processes is the run of one process with the same batches, and only rank 0 writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from two_processes import BASE, IMAGE_RUNS, NER

import normlab
from normlab.engine.distributed import ProcessGroup
from normlab.errors import UserError
from normlab.runs import RunFolder
from normlab.tasks.base import Placement, Task

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which two processes have trained."""
    out = tmp_path_factory.mktemp("pair")
    script = Path(__file__).with_name("two_processes.py")
    done = subprocess.run([*TORCHRUN, script, out], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def losses(path: Path) -> list[float]:
    return [record["train/online_loss"] for record in RunFolder(path).metrics()]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load((path / "checkpoints" / "last.safetensors").read_bytes())


def assert_same_run(one: Path, other: Path) -> None:
    assert losses(one) == pytest.approx(losses(other), rel=1e-5)
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    compared = [name for name in mine if name.startswith(("model.", "average."))]
    assert len(compared) > 10
    for name in compared:
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["group", "synced", "synced_mixed"])
def test_two_processes_train_the_images_of_one(pair: Path, name: str, tmp_path: Path) -> None:
    normlab.train("image", out=tmp_path / "one", **{**BASE, **IMAGE_RUNS[name]})
    assert_same_run(pair / name, tmp_path / "one")
    assert RunFolder(pair / name).result()["processes"] == 2


@pytest.mark.slow
def test_two_processes_train_the_sentences_of_one(pair: Path, tmp_path: Path) -> None:
    normlab.train("ner", out=tmp_path / "one", **NER)
    assert_same_run(pair / "ner", tmp_path / "one")


@pytest.mark.slow
def test_statistics_of_each_process_alone_make_another_run(pair: Path) -> None:
    assert losses(pair / "apart") != pytest.approx(losses(pair / "synced"), rel=1e-5)


@pytest.mark.slow
def test_a_resumed_pair_ends_as_one_that_never_stopped(pair: Path) -> None:
    assert "resuming after epoch 1" in (pair / "resumed" / "log.txt").read_text()
    assert_same_run(pair / "resumed", pair / "straight")


@pytest.mark.slow
def test_divergence_ends_all_processes_with_a_result(pair: Path) -> None:
    assert RunFolder(pair / "diverging").result()["state"] == "diverged"


@pytest.mark.slow
def test_synchronised_norms_have_the_values_and_gradients_of_the_whole_batch(pair: Path) -> None:
    errors = json.loads((pair / "norm.json").read_text())
    assert {"batch/input", "batch_instance/gate", "batch/running_var"} <= errors.keys()
    assert max(errors.values()) < 1e-10, errors


@pytest.mark.slow
def test_no_thread_outlives_the_process_group(pair: Path) -> None:
    """One that still holds a tensor while Python shuts down would abort the process."""
    assert [json.loads((pair / f"left_{rank}.json").read_text()) for rank in range(2)] == [[], []]


@pytest.mark.slow
def test_torchrun_trains_from_the_command_line_and_prints_once(tmp_path: Path) -> None:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**BASE, "epochs": 1}.items()]
    command = [*TORCHRUN, "-m", "--", "normlab", "train", "image", "--json", "--out", "run", *flags, "--norm", "group"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout)["processes"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.slow
def test_torch_s_batch_norm_cannot_be_synchronised_on_a_cpu_and_says_so(tmp_path: Path) -> None:
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in BASE.items()]
    command = [*TORCHRUN, "-m", "--", "normlab", "train", "image", "--out", "run", *flags]
    command += ["--norm", "torch_batch", "--bn-sync", "true"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "normlab: torch_batch: torch's SyncBatchNorm runs on GPUs only" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_shares_of_a_batch_are_the_batch(size: int) -> None:
    placement = Placement(torch.device("cpu"))
    rows = torch.arange(11)
    shares = [ProcessGroup(rank, size).with_rank(placement).share(rows) for rank in range(size)]
    assert sorted(torch.cat(shares).tolist()) == rows.tolist()
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("examples", "changes", "message"),
    [
        (33, {}, "leave a last batch smaller than the 2 processes"),
        (64, {"batch_size": 1}, "less than one example for each of 2 processes"),
        (64, {"compile": True}, "compile: not with several processes"),
    ],
)
def test_what_cannot_be_shared_is_refused(examples: int, changes: dict[str, Any], message: str) -> None:
    from normlab.train_config import TrainConfig

    config = TrainConfig(batch_size=32, device="cpu").with_values("test", **changes)
    group = ProcessGroup(0, 2)
    with pytest.raises(UserError, match=message):
        group.refuse_small_batches(group.assign_device(config), examples)


def test_a_task_that_does_not_share_its_batches_is_refused(toy: Task, tmp_path: Path) -> None:
    from normlab.engine.follower import broadcast_run
    from normlab.train_config import TrainConfig

    with pytest.raises(UserError, match="toy: trains in one process only"):
        broadcast_run(ProcessGroup(0, 2), toy, TrainConfig(), RunFolder(tmp_path))
