"""The layers of a network as a report names and orders them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from normlab.report.view import StudyView, Variant

_BLOCK = re.compile(r"stages\.(\d+)\.(\d+)\.conv(\d)")
_FIXED = {"conv": "First convolution", "linear": "Output layer"}


def layer_metric(layer: str, quantity: str) -> str:
    """Return the name of a layer's quantity in an epoch's record."""
    return f"layers/{layer}/{quantity}"


def layers_with(view: StudyView, quantity: str) -> list[str]:
    """Return the layers that any run recorded a quantity of, from the input to the output."""
    recorded: dict[str, None] = {}
    for cell in view.cells:
        for name in cell.epochs[0] if cell.epochs else ():
            parts = name.split("/")
            if parts[0] == "layers" and len(parts) > 2 and parts[2] == quantity and parts[1] != "penultimate":
                recorded[parts[1]] = None
    return sorted(recorded, key=_depth)


def variants_with(view: StudyView, quantity: str) -> list[Variant]:
    """Return the variants of which any run recorded a quantity of a layer."""
    layers = layers_with(view, quantity)
    return [v for v in view.variants if any(v.mean_curve(layer_metric(layer, quantity))[0] for layer in layers)]


def layer_title(layer: str) -> str:
    """Return a layer's name for people: "Stage 1, block 2, conv 1"."""
    if match := _BLOCK.fullmatch(layer):
        stage, block, conv = (int(part) for part in match.groups())
        return f"Stage {stage + 1}, block {block + 1}, conv {conv}"
    return _FIXED.get(layer, layer)


def split_layers(layers: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the layers to show at once (the first, the last of each stage, the output) and the rest."""
    last_of_stage = {match.group(1): layer for layer in layers if (match := _BLOCK.fullmatch(layer))}
    shown = [layer for layer in layers if layer in _FIXED or layer in last_of_stage.values()]
    shown = shown or list(layers[:6])
    return shown, [layer for layer in layers if layer not in shown]


def _depth(layer: str) -> tuple[int, ...]:
    if match := _BLOCK.fullmatch(layer):
        return (1, *(int(part) for part in match.groups()))
    return (2,) if layer == "linear" else (0,)
