"""A measured choice: made once, kept on disk, robust against a kernel that fails and a file that is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from normlab.kernels.crf import LOSS
from normlab.kernels.maps import MEAN
from normlab.kernels.norm import NORM
from normlab.kernels.runtime import gpu
from normlab.kernels.runtime.choice import Choices, Work


class Stopwatch:
    """A timer whose answers come from the work itself."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, work: Work) -> float:
        self.calls += 1
        seconds = work()
        assert isinstance(seconds, float)
        return seconds


def fails() -> float:
    raise RuntimeError("out of shared memory")


def test_the_faster_one_is_chosen_by_family(tmp_path: Path) -> None:
    choices = Choices("gpu", Stopwatch(), tmp_path)
    assert choices.prefers_kernel("norm", "128x16", lambda: 1.0, lambda: 2.0)
    assert not choices.prefers_kernel("norm", "8x16", lambda: 3.0, lambda: 2.0)
    assert choices.ratios() == {"norm 128x16": 0.5, "norm 8x16": 1.5}


def test_it_is_measured_once_on_a_machine_and_anew_on_another(tmp_path: Path) -> None:
    Choices("gpu", Stopwatch(), tmp_path).prefers_kernel("norm", "a", lambda: 1.0, lambda: 2.0)
    again, other = Stopwatch(), Stopwatch()
    assert Choices("gpu", again, tmp_path).prefers_kernel("norm", "a", lambda: 9.0, lambda: 2.0)
    assert again.calls == 0
    assert not Choices("another gpu", other, tmp_path).prefers_kernel("norm", "a", lambda: 9.0, lambda: 2.0)
    assert other.calls > 0


@pytest.mark.parametrize(("seconds", "rounds"), [(1.0, 1), (1e-4, 7)])
def test_calls_of_a_second_are_measured_once_short_ones_seven_times(
    seconds: float, rounds: int, tmp_path: Path
) -> None:
    timer = Stopwatch()
    assert Choices("gpu", timer, tmp_path).ratio("norm", "a", lambda: (lambda: seconds, lambda: seconds)) == 1
    assert timer.calls == 2 + 2 * rounds


def test_a_kernel_that_raises_is_not_used(tmp_path: Path) -> None:
    assert not Choices("gpu", Stopwatch(), tmp_path).prefers_kernel("norm", "a", fails, lambda: 2.0)
    assert not Choices("gpu", Stopwatch(), tmp_path).prefers_kernel("norm", "a", lambda: 1.0, lambda: 2.0)


def test_a_damaged_file_is_measured_anew(tmp_path: Path) -> None:
    Choices("gpu", Stopwatch(), tmp_path).prefers_kernel("norm", "a", lambda: 1.0, lambda: 2.0)
    file = next(tmp_path.glob("choices-*.json"))
    file.write_text("{")
    assert not Choices("gpu", Stopwatch(), tmp_path).prefers_kernel("norm", "a", lambda: 9.0, lambda: 2.0)
    assert json.loads(file.read_text()) == {"norm a": 4.5}


def test_what_two_processes_measure_at_once_is_kept_of_both(tmp_path: Path) -> None:
    one, two = Choices("gpu", Stopwatch(), tmp_path), Choices("gpu", Stopwatch(), tmp_path)
    one.ratios()
    two.ratios()
    one.prefers_kernel("norm", "a", lambda: 1.0, lambda: 2.0)
    two.prefers_kernel("norm", "b", lambda: 1.0, lambda: 4.0)
    assert Choices("gpu", Stopwatch(), tmp_path).ratios() == {"norm a": 0.5, "norm b": 0.25}


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_the_doctor_says_why_no_triton_kernel_runs() -> None:
    assert gpu.status().startswith("none (")
    assert NORM.reason_against_gpu() == LOSS.reason_against_gpu() == gpu.reason_against() != ""
    assert MEAN.reason_against_gpu() == "there is no Triton implementation"


@pytest.mark.parametrize("name", ["crf_loss", "crf_loss_backward", "crf_viterbi"])
def test_the_operators_have_a_cuda_implementation(name: str) -> None:
    assert torch._C._dispatch_has_kernel_for_dispatch_key(f"normlab::{name}", "CUDA")
