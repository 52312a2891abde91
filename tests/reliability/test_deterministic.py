"""`deterministic: true`: the same bits in another process, nothing measured, and recorded in the card."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import normlab
from normlab.engine import precision
from normlab.engine.determinism import compute_alike
from normlab.engine.device import choose_placement
from normlab.kernels.norm import NORM
from normlab.kernels.norm.scheme import BATCH
from normlab.kernels.runtime import contest
from normlab.kernels.runtime.choice import Choices
from normlab.runs import RunFolder
from normlab.tasks.image.config import ImageConfig

PROGRAM = Path(__file__).with_name("deterministic_runs.py")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    compute_alike(False)


def trained(hash_seed: str) -> dict[str, dict[str, str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": hash_seed}
    ended = subprocess.run(
        [sys.executable, str(PROGRAM)], env={**environment, "NORMLAB_KERNELS": "auto"}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    digests: dict[str, dict[str, str]] = json.loads(ended.stdout.splitlines()[-1])
    return digests


@pytest.mark.slow
def test_each_task_trained_in_two_processes_leaves_the_same_bits() -> None:
    first, again = trained("1"), trained("2")
    assert set(first) == {"image", "ner", "text2sql"}
    for task, digests in first.items():
        assert digests == again[task], task


def test_fixed_choices_time_nothing_and_take_the_own_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timed: list[object] = []

    def timer(work: object) -> float:
        timed.append(work)
        return 2.0 if len(timed) % 2 else 1.0  # torch's operation would win

    contest.begin_run({"norm of another run of this process": "torch"})
    monkeypatch.setattr(contest, "policy", lambda: "auto")
    monkeypatch.setattr(contest, "choices", lambda: Choices("here", timer, tmp_path))
    x = torch.randn(2, 8, 4, 4)
    call = (x, torch.ones(8), torch.zeros(8), None, None, None, None, BATCH, 1, False, 1e-5, False)
    compute_alike(True)
    contest.begin_run({})
    assert contest.of_this_run().kept == {}
    NORM.try_call(*call)
    assert not timed
    assert set(contest.used().values()) == {"torch" if NORM.reason_against_cpu() else "own"}
    compute_alike(False)
    NORM.try_call(*call)
    assert timed or NORM.reason_against_cpu()


def test_the_process_computes_as_before_after_a_deterministic_run() -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    choose_placement(ImageConfig(deterministic=True, device="cpu"))
    assert torch.are_deterministic_algorithms_enabled()
    choose_placement(ImageConfig(device="cpu"))
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_a_program_asked_torch_for_itself_stays() -> None:
    torch.use_deterministic_algorithms(True)
    try:
        choose_placement(ImageConfig(deterministic=True, device="cpu"))
        choose_placement(ImageConfig(device="cpu"))
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_automatic_precision_measures_nothing_in_a_deterministic_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "_speedup", lambda: pytest.fail("measured"))
    assert choose_placement(ImageConfig(deterministic=True, device="cpu")).precision == "float32"


def test_the_card_records_the_threads_and_a_run_that_goes_on_with_others_is_told(tmp_path: Path) -> None:
    settings = {"data": "digits", "n": 1, "limit_train": 64, "batch_size": 32, "distributions": "off"}
    run = normlab.train("image", out=tmp_path / "run", epochs=1, threads=1, deterministic=True, **settings)
    assert run.folder.card()["deterministic"] == {"threads": 1}
    (run.path / "result.json").unlink()
    text = (run.path / "config.yaml").read_text()
    (run.path / "config.yaml").write_text(text.replace("threads: 1", "threads: 2").replace("epochs: 1", "epochs: 2"))
    normlab.engine.api.train_folder(RunFolder.open(run.path))
    assert "deterministic: begun with 1 thread, these are 2" in (run.path / "log.txt").read_text()
    plain = normlab.train("image", out=tmp_path / "plain", epochs=1, threads=1, **settings)
    assert "deterministic" not in plain.folder.card()
