"""Evaluate a split: scores of words and of entities, and at the end calibration, confusion and examples."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from normlab.data.tagging.scheme import convert
from normlab.tasks.base import Evaluation, Placement
from normlab.tasks.ner.config import NerConfig
from normlab.tasks.ner.data import NerData, evaluation_batches
from normlab.tasks.ner.encoding import Encoded
from normlab.tasks.ner.entities import entity_table, find_entities, without_outside_words
from normlab.tasks.ner.metrics import calibration_error, reliability, tag_confusion, token_metrics
from normlab.tasks.ner.model import Tagger

_EXAMPLES = 20


@dataclass(frozen=True)
class Answers:
    """A tagged split: best tags (W,), their probabilities (W,) or None, and each sentence's loss (N,)."""

    tags: np.ndarray
    probabilities: np.ndarray | None
    losses: np.ndarray
    seconds: float


def evaluate(
    model: Tagger, data: NerData, split: str, config: NerConfig, placement: Placement, *, final: bool
) -> Evaluation:
    """Measure a split; `final` adds calibration, confusion, per-type tables, examples and predictions."""
    encoded = data.splits[split]
    assert encoded.tags is not None
    names, scheme = data.card["classes"], data.card["scheme"]
    answers = _answer(model, encoded, config, placement, with_probabilities=final)
    label, best = (as_in_files(tags, encoded.offsets, data.card) for tags in (encoded.tags, answers.tags))
    file_names = data.card.get("file_classes", names)
    confusion = tag_confusion(label, best, len(file_names))
    gold, predicted = (find_entities(tags, encoded.offsets, names, scheme) for tags in (encoded.tags, answers.tags))
    table = entity_table(gold, predicted, names, strict=False)
    metrics = {"loss": float(answers.losses.mean()), **token_metrics(confusion, file_names)}
    metrics["entity_f1"] = table["all"]["f1"]
    if answers.probabilities is None:
        return Evaluation(metrics)
    strict = entity_table(gold, predicted, names, strict=True)
    curve = reliability(answers.probabilities, answers.tags == encoded.tags)
    metrics |= {
        "strict_f1": strict["all"]["f1"],
        "entity_macro": table["macro"]["f1"],
        **_course_scores(label, best, encoded.offsets, data.card),
        "ece": calibration_error(curve),
        f"speed/{split}_tokens_per_second": len(encoded.words) / answers.seconds,
    }
    tables = {
        "confusion": confusion.tolist(),
        "entities": {"default": table, "strict": strict},
        "reliability": curve,
        "worst": _worst(encoded, answers.losses, label, best, file_names),
    }
    return Evaluation(metrics, tables, _columns(encoded, answers.probabilities, label, best, file_names))


def _course_scores(
    label: np.ndarray, best: np.ndarray, offsets: np.ndarray, card: Mapping[str, Any]
) -> dict[str, float]:
    """Return F1 as a published course program counts it: strict, and only on words whose gold tag is an entity's."""
    names, scheme = card.get("file_classes", card["classes"]), card.get("file_scheme", card["scheme"])
    gold, predicted, kept_offsets = without_outside_words(label, best, offsets, names)
    right, answered = (find_entities(tags, kept_offsets, names, scheme) for tags in (gold, predicted))
    table = entity_table(right, answered, names, strict=True)
    return {"course_f1": table["all"]["f1"], "course_macro": table["macro"]["f1"]}


def as_in_files(numbers: np.ndarray, offsets: np.ndarray, card: Mapping[str, Any]) -> np.ndarray:
    """Return tags (W,) of a model that spells entities in another scheme, as numbers of the files' tags.

    Otherwise scores of words would not be comparable: BIOES has twice the tags of BIO. Illegal sequences are repaired
    in the conversion by the lenient reading.
    """
    if "file_scheme" not in card:
        return numbers
    classes = card["classes"]
    number = {tag: index for index, tag in enumerate(card["file_classes"])}
    names = [classes[tag] for tag in numbers.tolist()]
    converted = (convert(names[a:b], card["file_scheme"]) for a, b in pairwise(offsets.tolist()))
    return np.array([number[tag] for tags in converted for tag in tags], dtype=np.int64)


def _answer(
    model: Tagger, encoded: Encoded, config: NerConfig, placement: Placement, *, with_probabilities: bool
) -> Answers:
    tags = np.zeros(len(encoded.words), dtype=np.int64)
    probabilities = np.zeros(len(encoded.words)) if with_probabilities else None
    losses = np.zeros(len(encoded))
    started = time.perf_counter()
    for rows, positions, batch in evaluation_batches(encoded, config, placement):
        mask = batch.mask
        with placement.autocast():
            emissions = model(batch).float()
        best = model.decode(emissions, mask)
        tags[positions] = best[mask].cpu().numpy()
        if probabilities is not None:
            of_best = model.probabilities(emissions, mask).gather(2, best.unsqueeze(-1)).squeeze(-1)
            probabilities[positions] = of_best[mask].cpu().numpy()
        assert batch.tags is not None
        losses[rows] = model.losses(emissions, batch.tags, mask).cpu().numpy()
    if placement.device.type == "cuda":
        torch.cuda.synchronize(placement.device)
    return Answers(tags, probabilities, losses, time.perf_counter() - started)


def _worst(
    encoded: Encoded, losses: np.ndarray, gold: np.ndarray, predicted: np.ndarray, names: list[str]
) -> list[dict[str, Any]]:
    """Return the wrongly tagged sentences with the largest loss per word."""
    starts = encoded.offsets[:-1]
    wrong = np.add.reduceat(predicted != gold, starts) > 0
    order = np.argsort(-np.where(wrong, losses / encoded.lengths, -np.inf), kind="stable")
    return [
        {
            "sentence": int(row) + 1,
            "words": [encoded.spellings[form] for form in encoded.spelling[words]],
            "gold": [names[tag] for tag in gold[words]],
            "found": [names[tag] for tag in predicted[words]],
            "loss": float(losses[row]),
        }
        for row in order[: min(_EXAMPLES, int(wrong.sum()))]
        for words in [slice(encoded.offsets[row], encoded.offsets[row + 1])]
    ]


def _columns(
    encoded: Encoded, probabilities: np.ndarray, gold: np.ndarray, predicted: np.ndarray, names: list[str]
) -> dict[str, np.ndarray]:
    """Return one row per word."""
    named = np.array(names)
    return {
        "sentence": np.repeat(np.arange(1, len(encoded) + 1), encoded.lengths),
        "label": named[gold],
        "prediction": named[predicted],
        "probability": probabilities,
    }
