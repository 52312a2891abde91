"""Numbers about tagged words: pure functions, arrays in, plain numbers out.

The studied reports score words, padding and gold O left out; entity scores are in `entities`. The two levels differ:
a two-word name with one wrong word is half right for the former and wrong for the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from normlab.data.tagging.scheme import OUTSIDE


def tag_confusion(gold: np.ndarray, found: np.ndarray, num_tags: int) -> np.ndarray:
    """Count (gold, found) pairs of words: (K, K), row = gold tag."""
    return np.bincount(gold * num_tags + found, minlength=num_tags**2).reshape(num_tags, num_tags)


def token_metrics(confusion: np.ndarray, tags: Sequence[str]) -> dict[str, float]:
    """Return the scores of single words, as fractions.

    `accuracy` is the share of entity words (gold tag not O) that got their tag, `token_accuracy` that of all words.
    `micro_f1` and `macro_f1` are over all tags but O, macro as the plain mean over those that occur at all; a word
    outside that is tagged as part of an entity counts against precision.
    """
    inside = np.array([tag != OUTSIDE for tag in tags])
    hits, gold, found = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    occurs = inside & (gold + found > 0)
    f1 = 2 * hits[occurs] / (gold + found)[occurs]
    return {
        "accuracy": float(hits[inside].sum() / max(1, gold[inside].sum())),
        "token_accuracy": float(hits.sum() / max(1, gold.sum())),
        "micro_f1": float(2 * hits[inside].sum() / max(1, (gold + found)[inside].sum())),
        "macro_f1": float(f1.mean()) if len(f1) else 0.0,
    }


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = 10) -> list[dict[str, Any]]:
    """Return, for each of equally wide bins of confidence that holds any word: mean confidence, accuracy, count."""
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights=column, minlength=bins) for column in (confidence, correct.astype(np.float64)))
    rows = zip(*sums, counts, strict=True)
    return [
        {"confidence": float(sure / count), "accuracy": float(right / count), "count": int(count)}
        for sure, right, count in rows
        if count
    ]


def calibration_error(curve: Sequence[dict[str, Any]]) -> float:
    """Return the expected calibration error: |accuracy - confidence|, averaged by count (Guo et al. 2017, eq. 3)."""
    total = sum(row["count"] for row in curve)
    return sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in curve) / max(1, total)
