"""Model zoos whose networks `swap_norms` is tried on, where they are installed."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from normlab.tasks.image.timm_networks import import_timm


@pytest.fixture(scope="session")
def timm() -> ModuleType:
    """The package timm; the test is skipped without it. No torchvision is needed, nor left behind as a pretence."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed: `pip install --no-deps timm`")
    return import_timm()
