"""Networks of timm by name, with random weights.

timm imports torchvision for its data pipelines, which its networks do without; and torchvision's wheels fit one build
of torch, so that beside a CPU build they often fail to load. Where torchvision is missing or fails, timm is imported
with a stand-in for it, of which nothing is left behind.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from torch import nn

from normlab.errors import UserError
from normlab.own_code import what_was_raised

TIMM, PIPELINES = "timm", "torchvision"
INTERPOLATIONS = {"NEAREST": 0, "LANCZOS": 1, "BILINEAR": 2, "BICUBIC": 3, "BOX": 4, "HAMMING": 5}  # as members


def timm_factory(reference: str) -> Callable[..., nn.Module]:
    """Return a function that makes the network which "timm:NAME" names, for a number of classes.

    Raises: UserError if timm is not installed or cannot be imported, or has no such network.
    """
    name = reference.partition(":")[2]
    if TIMM not in sys.modules and importlib.util.find_spec(TIMM) is None:
        raise UserError(f"{reference}: timm is not installed here: pip install --no-deps timm")
    try:
        timm = import_timm()
    except ModuleNotFoundError as error:
        what = "timm is not installed here" if error.name == TIMM else f"timm needs {error.name}"
        raise UserError(f"{reference}: {what}: pip install --no-deps {error.name or TIMM}") from None
    except Exception as error:
        raise UserError(f"{reference}: timm cannot be imported ({what_was_raised(error)}): install it anew") from error
    if not timm.is_model(name):
        near = timm.list_models(f"*{name}*")[:5]
        raise UserError(f"{reference}: timm has no model of that name" + (f", but {', '.join(near)}" if near else ""))

    def make(num_classes: int) -> nn.Module:
        network: nn.Module = timm.create_model(name, pretrained=False, num_classes=num_classes)
        return network

    return make


def import_timm() -> Any:
    """Return the package timm, with its own torchvision where that works.

    Raises: whatever its import raises for another reason.
    """
    try:
        return importlib.import_module(TIMM)
    except (ImportError, RuntimeError, OSError) as error:
        if TIMM in sys.modules or importlib.util.find_spec(TIMM) is None:
            raise
        _forget(TIMM, PIPELINES)
        try:
            with _stand_in():
                return importlib.import_module(TIMM)
        except Exception as other:
            _forget(TIMM)
            raise other from error


class StandIn(ModuleType):
    """A module in which every capitalised name is a class, and every other a module."""

    __path__: list[str] = []  # noqa: RUF012
    __version__ = "0.99.0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = type(name, (nn.Module,), dict(INTERPOLATIONS)) if name[0].isupper() else StandIn(name)
        setattr(self, name, value)
        return value


class _Finder(MetaPathFinder, Loader):
    """Finds torchvision and all that is in it."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] == PIPELINES else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextmanager
def _stand_in() -> Iterator[None]:
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _forget(PIPELINES)


def _forget(*packages: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in packages]:
        del sys.modules[name]
