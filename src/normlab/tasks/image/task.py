"""The image task as the engine sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.data.image.prediction import UnlabelledImage, describe_input, read_unlabelled
from normlab.data.image.source import AUTO
from normlab.errors import UserError
from normlab.nn.classifier import ImageClassifier
from normlab.norms.precise import batch_norms, reestimate_statistics, reestimated
from normlab.tasks.base import Evaluation, Placement, StepOutput, Task
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.data import (
    Batch,
    ImageData,
    evaluation_batches,
    first_images,
    prepare,
    to_network,
    training_batches,
)
from normlab.tasks.image.distributions import LayerWatch
from normlab.tasks.image.labelled import labelled
from normlab.tasks.image.metrics import classification_metrics, confusion_matrix, percentiles
from normlab.tasks.image.mistakes import confident_mistakes
from normlab.tasks.image.network import build_network, features_and_logits, try_network
from normlab.tasks.image.own_norm import norm_verdict, refuse_changed_sources, warn_of_changed_sources, with_verdict
from normlab.tasks.image.predictions import records_of, write_predictions

FEATURE_PERCENTILES = (1, 20, 80, 99)
PRECISE_BATCHES = 10  # of `eval_batch_size` images: 5,000 by default


class ImageTask(Task):
    """Classify images with a convolutional or any other network; every method is a pure function of its arguments."""

    name = "image"
    headline = "test/accuracy"
    monitor = "val/accuracy"
    fixed_shapes = True  # but for an epoch's last batch: steps can be recorded, see `engine.graphs`
    shares_batches = True

    def preflight(self, config: ImageConfig) -> None:
        """Try a network or norm that somebody brings, on two images of the data's size."""
        if config.own_code:
            try_network(config, self.prepare(config).card)

    def refuse_changes(self, config: ImageConfig) -> None:
        """Refuse to go on with another source of the network or of the norm than the run began with."""
        refuse_changed_sources(config)

    def prepare(self, config: ImageConfig) -> ImageData:
        """Read the images and cut the splits; a norm of one's own is tried first, and the card says how it did."""
        verdict = norm_verdict(config)
        data = prepare(config)
        return data if verdict is None else replace(data, card=with_verdict(data.card, config.norm, verdict))

    def labelled(self, config: ImageConfig, card: Mapping[str, Any], split: str, *, whole: bool) -> ImageData:
        """Read labelled images that training never saw; `whole`: data without splits are one split."""
        return labelled(config, card, split, whole=whole)

    def build(self, config: ImageConfig, card: Mapping[str, Any]) -> nn.Module:
        """Make the network for the card's classes."""
        warn_of_changed_sources(config)
        return build_network(config, card)

    def start_from_data(self, model: nn.Module, data: ImageData, config: ImageConfig) -> None:
        """Let a network of normlab's own look at the first training images, as they are without augmentation."""
        if isinstance(model, ImageClassifier) and model.start_images:
            model.start_from_images(first_images(data, model.start_images))

    def steps_per_epoch(self, config: ImageConfig, data: ImageData) -> int:
        """Return the number of batches; the last may be smaller."""
        return -(-data.sizes["train"] // config.batch_size)

    def train_batches(self, config: ImageConfig, data: ImageData, epoch: int, placement: Placement) -> Iterator[Batch]:
        """Yield an epoch's augmented batches."""
        return training_batches(config, data, epoch, placement)

    def loss(self, model: nn.Module, batch: Batch, config: ImageConfig) -> StepOutput:
        """Return the mean cross-entropy, images weighted by their class if asked for, and the number of correct ones.

        The weighted mean is divided by the number of images, not by the sum of their weights, so that an image counts
        the same whichever images share its batch.
        """
        logits = model(batch.images).float()
        if batch.weights is None:
            loss = F.cross_entropy(logits, batch.labels, label_smoothing=config.label_smoothing)
        else:
            losses = F.cross_entropy(logits, batch.labels, label_smoothing=config.label_smoothing, reduction="none")
            loss = (losses * batch.weights).mean()
        correct = (logits.detach().argmax(1) == batch.labels).sum()
        return StepOutput(loss, len(batch.labels), {"accuracy": correct})

    def finalize_statistics(self, model: nn.Module, data: ImageData, config: ImageConfig, placement: Placement) -> None:
        """With `bn_statistics: precise`, estimate the batch norms' statistics anew on training images."""
        if config.bn_statistics == "precise":
            reestimate_statistics(model, _large_batches(data, config, placement))

    def evaluate(
        self,
        model: nn.Module,
        data: ImageData,
        split: str,
        config: ImageConfig,
        placement: Placement,
        *,
        final: bool,
    ) -> Evaluation:
        """Measure loss, accuracy and F1 on a split, and except on train the features' distributions.

        At the end of a run with `bn_statistics: both`, accuracy and loss with precise statistics are added.
        """
        watch = LayerWatch(model, FEATURE_PERCENTILES) if config.distributions == "all" and split != "train" else None
        with watch or nullcontext():
            labels, logits, features = _forward(model, data, split, config, placement)
        evaluation = _evaluation(labels, logits, final=final)
        if final and split == ("test" if "test" in data.rows else "val"):
            evaluation.examples["wrong"] = {"split": split, "images": confident_mistakes(data, split, labels, logits)}
        if config.distributions != "off" and split != "train":
            _add_distributions(evaluation, features, watch, split)
        if final and config.bn_statistics == "both" and batch_norms(model):
            with placement.autocast(), reestimated(model, _large_batches(data, config, placement)):
                labels, logits, _ = _forward(model, data, split, config, placement)
            evaluation.metrics["accuracy_precise"] = float((logits.argmax(1) == labels).float().mean())
            evaluation.metrics["precise_loss"] = float(F.cross_entropy(logits, labels))
        return evaluation

    def predict(
        self,
        model: nn.Module,
        source: Any,
        config: ImageConfig,
        card: Mapping[str, Any],
        placement: Placement,
    ) -> Iterator[dict[str, Any]]:
        """Yield {"name", "class", "index", "probability", "probabilities"} for each image.

        An image that was converted to be read (e.g. its transparency) has "changed" too; one of a folder that cannot
        be read has only "name" and "error".

        Args:
            source: a CSV, an image or a folder of them, or a uint8 array (N, 3, H, W) of the model's image size.
        """
        classes = card["classes"]
        images = _unlabelled(source, card["image_size"][0], card.get("background", AUTO))
        while chunk := list(islice(images, config.eval_batch_size)):
            yield from records_of(chunk, classes, lambda images: _probabilities(model, images, card, placement))

    def read_as(self, source: Any, config: ImageConfig, card: Mapping[str, Any]) -> str:
        """Say what of a folder is read and what is left out; "" for a single file."""
        return "" if not isinstance(source, str | os.PathLike) else describe_input(source)

    def write_predictions(self, records: Iterator[dict[str, Any]], out: Path, form: str, source: Any) -> int:
        """Write records as csv, jsonl, or as one class number a line (course); `auto` goes by the suffix."""
        return write_predictions(records, out, form)


def _large_batches(data: ImageData, config: ImageConfig, placement: Placement) -> Iterator[Tensor]:
    """Yield the training images for estimating statistics, augmented as in training."""
    large = config.with_values("precise", batch_size=config.eval_batch_size)
    return (batch.images for batch in islice(training_batches(large, data, 0, placement), PRECISE_BATCHES))


def _forward(
    model: nn.Module, data: ImageData, split: str, config: ImageConfig, placement: Placement
) -> tuple[Tensor, Tensor, Tensor]:
    """Return a split's labels (N,), logits (N, classes) in float32 and penultimate features (N, C)."""
    labels, logits, features = [], [], []
    for batch in evaluation_batches(config, data, split, placement):
        with placement.autocast():
            penultimate, scores = features_and_logits(model, batch.images, len(data.card["classes"]))
        features.append(penultimate)
        logits.append(scores.float())
        labels.append(batch.labels)
    return torch.cat(labels), torch.cat(logits), torch.cat(features)


def _evaluation(labels: Tensor, logits: Tensor, *, final: bool) -> Evaluation:
    predictions = logits.argmax(1)
    confusion = confusion_matrix(labels, predictions, logits.shape[1])
    metrics = {"loss": float(F.cross_entropy(logits, labels)), **classification_metrics(confusion)}
    if not final:
        return Evaluation(metrics)
    confidence = logits.softmax(1).amax(1)
    columns = {"label": labels, "prediction": predictions, "probability": confidence}
    return Evaluation(
        metrics,
        {"confusion": confusion.tolist()},
        {name: column.cpu().numpy() for name, column in columns.items()},
    )


def _add_distributions(evaluation: Evaluation, features: Tensor, watch: LayerWatch | None, split: str) -> None:
    """Add the penultimate features' percentiles, and with `watch` the table "layers" and the share of dead channels."""
    penultimate = percentiles(features, FEATURE_PERCENTILES)
    if split == "val":
        evaluation.metrics.update({f"features/{level}": value for level, value in penultimate.items()})
    evaluation.metrics["penultimate_spread"] = penultimate["p99"] - penultimate["p01"]
    if watch is not None:
        evaluation.metrics["dead_channels"] = watch.dead_share
        evaluation.tables["layers"] = {**watch.summary(), "penultimate": penultimate}


@torch.inference_mode()
def _probabilities(
    model: nn.Module, images: np.ndarray, card: Mapping[str, Any], placement: Placement
) -> list[list[float]]:
    """Return a row of class probabilities for each of uint8 images (N, 3, H, W)."""
    batch = to_network(torch.from_numpy(images).to(placement.device), card, placement)
    with placement.autocast():
        logits = model(batch).float()
    rows: list[list[float]] = logits.softmax(1).tolist()
    return rows


def _unlabelled(source: Any, size: int, background: str) -> Iterator[UnlabelledImage]:
    if not isinstance(source, np.ndarray | str | os.PathLike):
        raise UserError(
            f"images cannot be read from a value of type {type(source).__name__}: give a path (a CSV, an image, a "
            f"folder), or a uint8 array (N, 3, {size}, {size}), as numpy.stack makes of several images"
        )
    if not isinstance(source, np.ndarray):
        yield from read_unlabelled(Path(source), size=size, background=background)
        return
    if source.dtype != np.uint8 or source.shape[1:] != (3, size, size):
        raise UserError(
            f"array of {source.dtype} {source.shape}: expected uint8 (N, 3, {size}, {size}), channels first, as the "
            "model reads images"
        )
    yield from (UnlabelledImage(str(index), image) for index, image in enumerate(source))


TASK = ImageTask()
