"""One epoch's numbers by layer as a flat table: what TensorBoard and the report read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat_layers(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return "layers/NAME/QUANTITY" -> value of a record of `layers.jsonl`; the entries of a list are numbered.

    >>> flat_layers({"epoch": 1, "layers": {"conv": {"p99": 1.5, "gate": [0, 16]}}})
    {'layers/conv/p99': 1.5, 'layers/conv/gate/0': 0, 'layers/conv/gate/1': 16}
    """
    flat: dict[str, Any] = {}
    for layer, quantities in record["layers"].items():
        for quantity, value in quantities.items():
            name = f"layers/{layer}/{quantity}"
            flat |= (
                {f"{name}/{i}": entry for i, entry in enumerate(value)} if isinstance(value, list) else {name: value}
            )
    return flat
