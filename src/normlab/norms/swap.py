"""Replace the norm layers of any torch model by another scheme; nothing else changes.

`norms.known_layers` decides which layers are replaced, and why others are not. Here the new layers are built with the
old ones' state and inserted. All are built before the first is inserted, so an error leaves the model unchanged.
"""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from normlab.errors import UserError, did_you_mean
from normlab.norms import NORMS
from normlab.norms.norm_layer import NormLayer
from normlab.norms.options import refuse_unknown_options
from normlab.norms.successor import Successor, build_successor
from normlab.norms.swap_example import input_shapes, run_example
from normlab.norms.swap_report import SwapReport, left_line
from normlab.norms.swap_search import Found, find_norms, put_in_place
from normlab.norms.swap_warnings import warnings_about

Replacement = str | Callable[..., nn.Module]
Patterns = str | Sequence[str] | None

_NONE_FOUND = "found no norm layer in the model; norms that are calls of functions, as F.batch_norm, cannot be replaced"


def swap_norms(
    model: nn.Module,
    name: Replacement,
    *,
    only: Patterns = None,
    skip: Patterns = None,
    example: Any = None,
    dry_run: bool = False,
    **options: Any,
) -> SwapReport:
    """Replace the norm layers of `model`, in place, by the scheme called `name`.

    Replaced are layers that normalise (N, C, ...): torch's batch norms (1d, 2d, 3d, synchronised), instance norms,
    `GroupNorm`, `LayerNorm` over (C, H, W), every `Norm` of this package, and layers of other classes that are shown
    by trial to compute one of these or a layer norm over the channels of maps: norm + activation layers of model zoos
    (norm, then activation again), frozen batch norms, lookalikes. What stays is listed with the reason: `LayerNorm`
    and `RMSNorm` over the last axis, and norms that nobody here knows.

    Where they fit, a new layer takes over the very parameter objects of the old one, so an optimiser that holds them
    stays right; a parameter that is new (the gate of `batch_instance`) is moved only by an optimiser that is built
    after the swap. Running statistics go from batch norm to batch norm. `eps`, `momentum`, `track_running_stats` and
    the absence of weights carry over where the new scheme knows them and `options` does not say otherwise. Device,
    type, training mode, `requires_grad` and forward and backward hooks are kept. A layer that is used in several
    places is replaced by one layer, in lists, tuples and dicts that modules hold as attributes too.

    Args:
        model: any module. A bare norm layer cannot be replaced in place: the new one is `report.model`.
        name: of a scheme in `NORMS`, e.g. "group", or what builds a layer from `num_channels` and `options`, e.g.
            `lambda num_channels: nn.GroupNorm(8, num_channels)`; settings of the old layers are not passed to it.
        only: patterns of qualified names as in a shell, e.g. "layer1.*"; other layers stay.
        skip: patterns of layers that stay.
        example: an input of the model (a tuple of positional arguments, a mapping of keywords). The model runs on it
            in evaluation, before and after, and a layer is replaced only if the new one takes the input it got there.
        dry_run: change nothing, and report what would be.
        options: of the scheme, e.g. groups=8; those that are None count as not given.

    Returns: a list of the qualified names of the replaced layers, with `.left`, `.warnings`, `.new_parameters`,
        `.model` and `.summary()`. Its warnings, and one line about what was left, are given as Python warnings too.
    Raises: UserError if the name, an option or a pattern is unknown or does not fit, or the model fails on the example.
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"swap_norms: the model is a {type(model).__name__}, where a torch.nn.Module is needed")
    if isinstance(name, nn.Module) or not (isinstance(name, str) or callable(name)):
        raise UserError(
            f"swap_norms: the replacement is a {type(name).__name__}: give a scheme's name or what builds a layer, as "
            "`lambda num_channels: nn.GroupNorm(8, num_channels)`"
        )
    if isinstance(name, str):
        name = NORMS.resolve(name)
        refuse_unknown_options(name, options)
    candidates = find_norms(model)
    known = {path: f.layer for path, f in ((f.paths[0], f) for f in candidates) if isinstance(f.layer, NormLayer)}
    report = SwapReport(model, dry_run)
    deselected = _deselected(candidates, only, skip)
    shapes = {} if example is None else input_shapes(model, [layer.module for layer in known.values()], example)
    new: dict[int, Successor] = {}
    for candidate in candidates:
        path, layer = candidate.paths[0], candidate.layer
        if path in deselected:
            report.left[path] = deselected[path]
        elif isinstance(layer, str):
            report.left[path] = layer
        else:
            successor = build_successor(path, layer, name, options, model, shapes.get(id(layer.module), set()))
            if isinstance(successor, str):
                report.left[path] = successor
            else:
                new[id(layer.module)] = successor
                report.append(path)
    report.new_parameters = [key for successor in new.values() for key in successor.new_parameters]
    report.warnings = warnings_about(list(new.values()), example is not None) if candidates else [_NONE_FOUND]
    if not dry_run:
        _place(model, new, report, example)
    _say(report, set(report.left) - set(deselected), len(candidates) - len(deselected))
    return report


def _deselected(candidates: list[Found], only: Patterns, skip: Patterns) -> dict[str, str]:
    """Return the first name of each layer that the patterns leave out -> the reason."""
    every_path = [path for candidate in candidates for path in candidate.paths]
    chosen, skipped = (
        _matching(patterns, keyword, every_path) for keyword, patterns in (("only", only), ("skip", skip))
    )
    reasons = {}
    for candidate in candidates:
        if only is not None and not chosen.intersection(candidate.paths):
            reasons[candidate.paths[0]] = "not chosen by only="
        elif skipped.intersection(candidate.paths):
            reasons[candidate.paths[0]] = "chosen by skip="
    return reasons


def _matching(patterns: Patterns, keyword: str, paths: list[str]) -> set[str]:
    matching: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns or ():
        hits = fnmatch.filter(paths, pattern)
        if not hits:
            nearest = did_you_mean(pattern, paths) if paths else "the model has none"
            raise UserError(f"swap_norms: {keyword}='{pattern}' matches the name of no norm layer: {nearest}")
        matching.update(hits)
    return matching


def _place(model: nn.Module, new: dict[int, Successor], report: SwapReport, example: Any) -> None:
    """Insert the new layers; undo it if the model then fails on the example."""
    if id(model) in new:
        report.model = new[id(model)].module
    old = {id(s.module): s.old.module for s in new.values()}
    put_in_place(model, {key: s.module for key, s in new.items()})
    if example is None:
        return
    try:
        run_example(report.model, example)
    except Exception as error:
        put_in_place(model, old)
        message = (str(error).splitlines() or [""])[0]
        raise UserError(
            f"swap_norms: with the new layers the model fails on the example, so none was replaced: {message}"
        ) from error


def _say(report: SwapReport, left: set[str], total: int) -> None:
    lines = list(report.warnings)
    if left:
        lines.append(left_line({name: report.left[name] for name in report.left if name in left}, total))
    for line in lines:
        warnings.warn(f"swap_norms: {line}", stacklevel=3)
