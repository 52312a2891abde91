"""A trained model as what another training starts from: its settings, its card and the file of its weights.

Tasks read it here, and nothing else of runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.runs.folder import RunFolder
from normlab.runs.model_file import ModelFile
from normlab.runs.published import find_model


@dataclass(frozen=True)
class StartingPoint:
    """A trained model: settings with the key `task`, card, and a safetensors file with its weights."""

    settings: dict[str, Any]
    card: dict[str, Any]
    weights: Path


def starting_point(name: str) -> StartingPoint:
    """Return what a run folder, a model file or a model's name stands for.

    Raises: UserError if there is no such model.
    """
    path = find_model(name)
    folder = (ModelFile if path.is_file() else RunFolder).open(path)
    return StartingPoint(folder.config(), folder.card(), folder.weights)
