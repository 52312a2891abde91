"""The trained model that training may start from (`start`): its words and its weights, of the same network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from normlab.errors import UserError, shortened
from normlab.runs.starting_point import starting_point
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
    model = starting_point(config.start)
    values = model.settings
    if values.get("task") != "text2sql":
        raise UserError(f"start: {config.start} is a model of {values.get('task')}: give one of text2sql")
    for name in NETWORK:
        own, its = getattr(config, name), values.get(name, type(config).model_fields[name].default)
        if own != its and not (name == "encoder" and not config.pretrained):
            raise UserError(f"start: {config.start} has {name} {shortened(its)}, not {shortened(own)}: set it so too")
    return model.card


def start_weights(config: Text2SqlConfig) -> Path | None:
    """Return the file of the weights; None if training starts anew."""
    return starting_point(config.start).weights if config.start else None


def start_fingerprint(config: Text2SqlConfig) -> dict[str, str]:
    """Return what a run's card keeps of its start, {"start": hash of the weights}; nothing if there is none."""
    weights = start_weights(config)
    if weights is None:
        return {}
    return {"start": hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}
