"""The trained model that training may start from (`start`): its words and its weights, of the same network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from normlab.errors import UserError, shortened
from normlab.runs.folder import RunFolder
from normlab.runs.model_file import ModelFile
from normlab.runs.published import find_model
from normlab.tasks.text2sql.config import Text2SqlConfig

NETWORK = (
    "model",
    "encoder",
    "attention",
    "attention_heads",
    "hidden",
    "layer_norm",
    "relation_layers",
    "name_encoder",
    "freeze_embeddings",
)
"""The settings that say what the weights are of: a model that goes on has those of its start."""


def start_card(config: Text2SqlConfig) -> dict[str, Any]:
    """Return the card of the model that training starts from.

    Raises: UserError if there is none, or it has another network.
    """
    folder = _folder(config)
    values = folder.config()
    if values.get("task") != "text2sql":
        raise UserError(f"start: {config.start} is a model of {values.get('task')}: give one of text2sql")
    for name in NETWORK:
        own, its = getattr(config, name), values.get(name, type(config).model_fields[name].default)
        if own != its and not (name == "encoder" and not config.pretrained):
            raise UserError(f"start: {config.start} has {name} {shortened(its)}, not {shortened(own)}: set it so too")
    return folder.card()


def start_weights(config: Text2SqlConfig) -> Path | None:
    """Return the file of the weights; None if training starts anew."""
    return _folder(config).weights if config.start else None


def start_fingerprint(config: Text2SqlConfig) -> dict[str, str]:
    """Return what a run's card keeps of its start, {"start": hash of the weights}; nothing if there is none."""
    weights = start_weights(config)
    if weights is None:
        return {}
    return {"start": hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}


def _folder(config: Text2SqlConfig) -> RunFolder:
    path = find_model(config.start)
    return (ModelFile if path.is_file() else RunFolder).open(path)
