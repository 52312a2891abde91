"""Writes down, in every Python process that has this folder on its path, which splits are evaluated, and each epoch.

Python imports this module at its start. The file named by NORMLAB_READS gets a line of JSON for each evaluation of a
split, by whatever part of the program, and for each epoch that a run has recorded.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def note(**event: Any) -> None:
    with open(os.environ["NORMLAB_READS"], "a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def record_evaluations(module: ModuleType) -> None:
    for kind in vars(module).values():
        if isinstance(kind, type) and "evaluate" in vars(kind):
            kind.evaluate = _recorded(kind.evaluate)  # type: ignore[attr-defined]


def _recorded(evaluate: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(self: Any, model: Any, data: Any, split: str, *rest: Any, **named: Any) -> Any:
        note(event="evaluated", task=self.name, split=split, examples=data.sizes[split], final=named.get("final"))
        return evaluate(self, model, data, split, *rest, **named)

    return recorded


def record_epochs(module: Any) -> None:
    append = module.RunFolder.append_metrics

    def recorded(self: Any, record: Any) -> None:
        append(self, record)
        note(event="epoch", run=self.path.name)

    module.RunFolder.append_metrics = recorded


HOOKS: dict[str, Callable[[Any], None]] = {
    **{f"normlab.tasks.{task}.task": record_evaluations for task in ("image", "ner", "text2sql")},
    "normlab.runs.folder": record_epochs,
}


class Finder(importlib.abc.MetaPathFinder):
    """Lets a module of `HOOKS` be changed as soon as it is loaded."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in HOOKS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            HOOKS[name](module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if os.environ.get("NORMLAB_READS"):
    sys.meta_path.insert(0, Finder())
