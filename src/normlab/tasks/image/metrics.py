"""Numbers from a confusion matrix and from features: pure functions, tensors in, plain numbers out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def confusion_matrix(labels: Tensor, predictions: Tensor, num_classes: int) -> Tensor:
    """Count (label, prediction) pairs.

    Shape: two (N,) integer tensors -> (num_classes, num_classes) int64, row = true class.
    """
    pairs = labels * num_classes + predictions
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def classification_metrics(confusion: Tensor) -> dict[str, float]:
    """Return accuracy, micro F1 and macro F1, as fractions.

    Micro F1 sums true and false positives over classes; with one label per image it equals the accuracy. Macro F1 is
    the unweighted mean over the classes that occur as a label or as a prediction.
    """
    counts = confusion.double().cpu()
    hits = counts.diagonal()
    labelled, predicted = counts.sum(1), counts.sum(0)
    f1 = 2 * hits / (labelled + predicted).clamp(min=1)
    return {
        "accuracy": float(hits.sum() / counts.sum()),
        "micro_f1": float(2 * hits.sum() / (labelled.sum() + predicted.sum())),
        "macro_f1": float(f1[(labelled + predicted) > 0].mean()),
    }


def percentiles(values: Tensor, levels: Sequence[int]) -> dict[str, float]:
    """Return exact percentiles over all entries, linearly interpolated as `numpy.percentile` does.

    Names are `p01`, `p20`, ... The sort runs on the values' device, and only the answers leave it.
    """
    ordered = values.flatten().float().sort().values
    position = torch.tensor([level / 100 * (ordered.numel() - 1) for level in levels], dtype=torch.float64)
    below = position.floor().long()
    above = position.ceil().long()
    weight = (position - below).to(ordered)
    found = torch.lerp(ordered[below.to(ordered.device)], ordered[above.to(ordered.device)], weight)
    return {f"p{level:02d}": value for level, value in zip(levels, found.tolist(), strict=True)}
