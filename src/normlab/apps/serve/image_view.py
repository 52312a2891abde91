"""One picture through several models: their answers, what batch mates do to them, and their features."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from normlab.apps.serve import markup
from normlab.data.image.pixels import decode_file
from normlab.data.image.source import AUTO
from normlab.engine.api import Run
from normlab.errors import UserError
from normlab.metrics import title_of
from normlab.tasks.image.data import to_network
from normlab.tasks.image.metrics import percentiles

COPIES = 7
LEVELS = (1, 20, 80, 99)
SITUATIONS = (
    "evaluation mode",
    "training mode, alone",
    f"training mode, with {COPIES} copies of itself",
    "training mode, with the sample pictures",
)


@dataclass(frozen=True)
class Reading:
    """What a model says of a picture.

    Attributes:
        probabilities: class -> probability, in evaluation mode.
        in_company: for each of `SITUATIONS` the likeliest class and its probability.
        features: percentiles of the penultimate activations, "p01" -> value.
        change: what was changed in the picture to read it; "" for nothing.
    """

    probabilities: dict[str, float]
    in_company: list[tuple[str, float]]
    features: dict[str, float]
    change: str = ""


@torch.inference_mode()
def read_picture(run: Run, file: Path, mates: Sequence[Path]) -> Reading:
    """Return what a model says of a picture, alone and in the company of others.

    In training mode a batch norm takes its statistics from the batch. That changes the model's running statistics, so
    it happens in a copy.
    Raises: UserError if the file is no picture.
    """
    card = run.folder.card()
    size = card["image_size"][0]
    under = card.get("background", AUTO)
    pixels, change = decode_file(file, size=size, background=under)
    decoded = [decode_file(mate, size=size, background=under).pixels for mate in mates]
    others = [other for other in decoded if not np.array_equal(other, pixels)]
    training = deepcopy(run.model).train()
    companies: list[tuple[Any, list[Any]]] = [
        (run.model, [pixels]),
        (training, [pixels]),
        (training, [pixels] * (1 + COPIES)),
        (training, [pixels, *others]),
    ]
    rows = [_probabilities(run, model, images) for model, images in companies]
    classes = card["classes"]
    with run.placement.autocast():
        model: Any = run.model
        features = model.features(_batch(run, [pixels])).float()
    return Reading(
        dict(zip(classes, rows[0], strict=True)),
        [(classes[int(np.argmax(row))], max(row)) for row in rows],
        percentiles(features, LEVELS),
        change,
    )


def _batch(run: Run, images: Sequence[Any]) -> torch.Tensor:
    return to_network(torch.from_numpy(np.stack(images)).to(run.placement.device), run.folder.card(), run.placement)


def _probabilities(run: Run, model: Any, images: Sequence[Any]) -> list[float]:
    """Return the class probabilities of a batch's first image."""
    with run.placement.autocast():
        logits = model(_batch(run, images)).float()
    shares: list[float] = logits[0].softmax(0).tolist()
    return shares


def as_shown(readings: Mapping[str, Reading], runs: Mapping[str, Run]) -> tuple[str, str, str]:
    """Return three pieces of HTML: answers side by side, the table of batch mates, the table of features."""
    answers = markup.cards(
        markup.heading(title, _about(runs[title])) + markup.bars(reading.probabilities)
        for title, reading in readings.items()
    )
    changes = sorted({reading.change for reading in readings.values() if reading.change})
    return (
        answers + markup.notes(f"read with a change: {change}" for change in changes),
        markup.table(
            ("model", *SITUATIONS),
            (_company_row(title, reading) for title, reading in readings.items()),
            kind="nl-company",
        ),
        markup.table(
            ("model", *(f"{level} %" for level in LEVELS)),
            (
                (markup.escaped(title), *(f"{value:.3f}" for value in reading.features.values()))
                for title, reading in readings.items()
            ),
        ),
    )


def _company_row(title: str, reading: Reading) -> list[str]:
    usual = reading.in_company[0][0]
    cells = [
        f'<span class="{"" if name == usual else "nl-changed"}">{markup.escaped(name)} {markup.percent(share)}</span>'
        for name, share in reading.in_company
    ]
    return [markup.escaped(title), *cells]


def _about(run: Run) -> str:
    """Return the scheme, the depth and the measured score of a model in a line."""
    try:
        result = run.result
        score = f", {title_of(result['headline'])} {100 * result['metrics'][result['headline']]:.1f} %"
    except (UserError, KeyError):
        score = ""  # training is not over
    config: Any = run.config
    return f"norm {config.norm}, {6 * config.n + 2} layers{score}"


def preview(file: Path, size: int) -> str:
    """Return the picture as networks of an image size read it, enlarged, as HTML."""
    from PIL import Image

    pixels = decode_file(file, size=size).pixels
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure class="nl-preview"><img src="data:image/png;base64,{data}" alt="the picture, {size} x {size} pixels">'
        f"<figcaption>as the networks read it, {size} x {size} pixels</figcaption></figure>"
    )
