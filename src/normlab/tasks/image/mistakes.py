"""The misclassified images in which the model was most confident, small enough to stand in a report."""

from __future__ import annotations

import base64
from typing import Any

import torch
from torch import Tensor

from normlab.data.image.png import png_bytes
from normlab.tasks.image.data import ImageData

MOST = 24  # images
LARGEST = 64  # pixels a side: larger images would make run folders and reports heavy


def confident_mistakes(data: ImageData, split: str, labels: Tensor, logits: Tensor) -> list[dict[str, Any]]:
    """Return the misclassified images of a split with the largest probability of the wrong class, largest first.

    Each is {"index", "label", "prediction", "probability", "png"}: its position in the split, two class numbers, and
    its pixels as a PNG in base64. Images of more than `LARGEST` pixels a side give an empty list.

    Args:
        labels: (N,) of the whole split, in order.
        logits: (N, classes).
    """
    source, numbers = data.rows[split]
    pixels = data.images[source]
    if max(pixels.shape[2:]) > LARGEST:
        return []
    probability, prediction = (values.cpu() for values in logits.softmax(1).max(1))
    labels = labels.cpu()
    wrong = (prediction != labels).nonzero().flatten()
    chosen = wrong[torch.argsort(probability[wrong], descending=True, stable=True)][:MOST].tolist()
    return [
        {
            "index": index,
            "label": int(labels[index]),
            "prediction": int(prediction[index]),
            "probability": round(float(probability[index]), 6),
            "png": base64.b64encode(png_bytes(pixels[int(numbers[index])].cpu().numpy())).decode("ascii"),
        }
        for index in chosen
    ]
