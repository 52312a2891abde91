"""Model zoos whose networks `swap_norms` is tried on, where they are installed."""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
import torch


class StandIn(ModuleType):
    """A module in which every capitalised name is a class, and every other a module."""

    __path__: list[str] = []  # noqa: RUF012
    __version__ = "0.99.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (torch.nn.Module,), dict(INTERPOLATIONS)) if name[0].isupper() else StandIn(name)
        setattr(self, name, value)
        return value


INTERPOLATIONS = {"NEAREST": 0, "LANCZOS": 1, "BILINEAR": 2, "BICUBIC": 3, "BOX": 4, "HAMMING": 5}  # as members


class StandInFinder(MetaPathFinder, Loader):
    """Finds `torchvision`, which timm imports for its data pipelines and which its networks do without."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torchvision" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@pytest.fixture(scope="session")
def timm() -> ModuleType:
    """The package timm; the test is skipped without it. No torchvision is needed, nor left behind as a pretence."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed: `pip install --no-deps timm`")
    if importlib.util.find_spec("torchvision") is not None:
        return importlib.import_module("timm")
    finder = StandInFinder()
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("timm")
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
