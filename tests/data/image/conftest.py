"""Fixtures of the image tests: a tiny CIFAR."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_cifar_forms import TinyCifar


@pytest.fixture
def tiny_cifar(tmp_path: Path) -> TinyCifar:
    return TinyCifar(tmp_path)
