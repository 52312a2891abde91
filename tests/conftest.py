"""Shared fixtures: where the real data lie, when they do."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from normlab.runs.cache_folders import cache_root

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"


# How long an example takes says something of the machine, nothing of the code.
settings.register_profile("normlab", deadline=None)
settings.register_profile("fuzz", deadline=None, max_examples=int(os.environ.get("NORMLAB_FUZZ", "5000")))  # make fuzz
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "normlab"))


def pytest_configure(config: pytest.Config) -> None:
    # Two threads are what the smallest supported machine has; results of a test must not depend on the host.
    torch.set_num_threads(1 if os.environ.get("PYTEST_XDIST_WORKER") else 2)
    # Tests of a kernel must meet it, whatever is faster on this machine.
    os.environ.setdefault("NORMLAB_KERNELS", "own")
    # Ray's workers give way to everything else: beside another test on one core they never come to an end.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # A shell lets what it starts in the background ignore Ctrl-C, and tests that interrupt would wait for ever.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the profile "fuzz" a test's own number of examples counts only if it is the larger one."""
    if os.environ.get("HYPOTHESIS_PROFILE") != "fuzz":
        return
    most = settings.default.max_examples if settings.default is not None else 0
    for function in {getattr(item, "function", None) for item in items}:
        own = getattr(function, "_hypothesis_internal_use_settings", None)
        if own is not None and own.max_examples < most:
            function._hypothesis_internal_use_settings = settings(own, max_examples=most)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, but for the compiled kernels, which take half a minute: those are everybody's."""
    kernels = cache_root() / "kernels"
    kernels.mkdir(parents=True, exist_ok=True)
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "kernels").symlink_to(kernels)
    monkeypatch.setenv("NORMLAB_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets; the test is skipped where it is absent."""
    folder = Path(os.environ.get("NORMLAB_TEST_DATA", SHARED / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not present at {folder}")
    return folder
