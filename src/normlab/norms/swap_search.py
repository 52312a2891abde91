"""Which norm layers a network has and where it holds them: in its tree of modules, and in plain lists beside it.

`self.steps = [self.conv, self.norm]` runs the layers of the list, and the tree knows nothing of it: a layer that is
replaced in the tree has to be replaced there too. A layer that a function or a bound method holds cannot be replaced
there, so it stays everywhere. A norm that only a plain list holds is in no tree at all, and is named.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from normlab.norms.known_layers import recognise
from normlab.norms.norm_layer import NormLayer

_OF_TORCH = frozenset(vars(nn.Module()))  # parameters, submodules, hooks ...
_DEEPEST = 8  # lists in lists
_OUTSIDE = "it is no submodule (a plain list, dict or class attribute holds it): use nn.ModuleList or nn.ModuleDict"


@dataclass
class Found:
    """A norm-like layer with all its paths: as a layer that can be replaced, or the reason why it cannot."""

    module: nn.Module
    paths: list[str]
    layer: NormLayer | str


def find_norms(model: nn.Module) -> list[Found]:
    """Return the norm-like layers in the order of `model.named_modules()`, then those outside of the tree.

    Layers inside of a norm are not looked at.
    """
    found = _in_tree(model)
    inside = {id(module) for module in model.modules()}
    for path, held, is_fixed in _held_beside(model):
        if id(held) in inside:
            layer = found.get(id(held))
            if layer is not None and is_fixed and isinstance(layer.layer, NormLayer):
                layer.layer = f"{path} holds it too, where it cannot be replaced"
        elif all(part is not model for part in held.modules()):  # a module that knows its parent is no part of it
            for outside in _in_tree(held).values():
                name = ".".join(part for part in (path, outside.paths[0]) if part)
                found.setdefault(id(outside.module), Found(outside.module, [name], _OUTSIDE))
    return list(found.values())


def put_in_place(model: nn.Module, new: Mapping[int, nn.Module]) -> None:
    """Put new modules, by the ids of the old ones, wherever the network holds the old ones."""
    for owner in list(model.modules()):
        for name, child in owner._modules.items():
            if child is not None and id(child) in new:
                owner._modules[name] = new[id(child)]
        for name, value in _own_attributes(owner):
            vars(owner)[name] = _replaced(value, new, _DEEPEST)


def _in_tree(model: nn.Module) -> dict[int, Found]:
    by_module: dict[int, Found | None] = {}

    def visit(module: nn.Module, path: str, above: tuple[int, ...]) -> None:
        if id(module) not in by_module:
            layer = recognise(module)
            by_module[id(module)] = None if layer is None else Found(module, [path], layer)
        elif (seen := by_module[id(module)]) is not None:
            seen.paths.append(path)
        if by_module[id(module)] is None and id(module) not in above:
            for name, child in module._modules.items():
                if child is not None:
                    visit(child, f"{path}.{name}" if path else name, (*above, id(module)))

    visit(model, "", ())
    return {key: layer for key, layer in by_module.items() if layer is not None}


def _held_beside(model: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
    """Yield (name, module, whether it cannot be replaced there) of what attributes of the network's modules hold."""
    for path, owner in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, value in _own_attributes(owner):
            yield from _held(value, f"{prefix}{name}", False, _DEEPEST)
        for base in type(owner).__mro__:
            if not base.__module__.startswith("torch."):
                for name, value in vars(base).items():
                    if isinstance(value, nn.Module):
                        yield f"{prefix}{name}", value, True


def _own_attributes(module: nn.Module) -> list[tuple[str, Any]]:
    if isinstance(module, torch.jit.ScriptModule):  # whose attributes are its own business
        return []
    return [(name, value) for name, value in vars(module).items() if name not in _OF_TORCH]


def _held(value: Any, path: str, is_fixed: bool, deepest: int) -> Iterator[tuple[str, nn.Module, bool]]:
    if isinstance(value, nn.Module):
        yield path, value, is_fixed
        return
    parts: Iterable[tuple[str, Any]] = ()
    if deepest == 0:
        return
    if isinstance(value, dict):
        parts = ((f"{path}[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple):
        parts = ((f"{path}[{number}]", part) for number, part in enumerate(value))
    else:
        is_fixed = True
        parts = ((path, part) for part in _inside_of(value))
    for name, part in parts:
        yield from _held(part, name, is_fixed, deepest - 1)


def _inside_of(value: Any) -> Iterable[Any]:
    """Return what a set or a callable holds."""
    if isinstance(value, set | frozenset):
        return value
    if isinstance(value, functools.partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, types.MethodType):
        return (value.__self__,)
    if isinstance(value, types.FunctionType):
        return (*_cells(value), *(value.__defaults__ or ()))
    return ()


def _cells(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _replaced(value: Any, new: Mapping[int, nn.Module], deepest: int) -> Any:
    """Return a value with new modules: lists and dicts are the same ones, tuples are made anew if one is in them."""
    if isinstance(value, nn.Module):
        return new.get(id(value), value)
    if deepest == 0:
        return value
    if isinstance(value, list | dict):
        for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if (changed := _replaced(part, new, deepest - 1)) is not part:
                value[key] = changed
    elif isinstance(value, tuple):
        parts = [_replaced(part, new, deepest - 1) for part in value]
        if any(a is not b for a, b in zip(parts, value, strict=True)):
            return value._make(parts) if hasattr(value, "_make") else tuple(parts)
    return value
