"""Fixtures of the data tests: a cache of their own, and a tiny CIFAR."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_cifar_forms import TinyCifar


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NORMLAB_CACHE", str(folder))
    return folder


@pytest.fixture
def tiny_cifar(tmp_path: Path) -> TinyCifar:
    return TinyCifar(tmp_path)
