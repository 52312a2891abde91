"""A baseline in a process of its own is made there, timed there and ended with its benchmark."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from normlab.bench.apart import Apart
from normlab.bench.timing import Settings, compare, compare_work


def process_and_threads() -> Callable[[], int]:
    return lambda: os.getpid() * 100 + torch.get_num_threads()


def words(count: int) -> Callable[[], int]:
    return lambda: sum(1 for _ in range(count))


def test_the_step_runs_elsewhere_with_its_threads() -> None:
    with Apart(process_and_threads, threads=1, clock="cpu") as step:
        seconds, answer = step.timed(1)
        assert (answer % 100, answer // 100) == (1, step._process.pid)
        assert seconds >= 0
    assert step._process.exitcode == 0


def test_both_comparisons_take_it() -> None:
    settings = Settings(rounds=1)
    with Apart(words, 100_000, threads=1, clock="cpu") as work:
        assert work.timed(3)[1] == 300_000
        assert compare(work, words(1000), settings).speedup.median > 10
        assert compare_work(work, words(100_000), settings).speedup.median > 0
