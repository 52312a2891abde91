"""The images of a run: splits, constants of the training part, and batches that are functions of (seed, epoch).

Pixels stay uint8: for a CPU in memory-mapped files, else on the device, where batches are made. The crop and mirroring
of an image in an epoch depend on seed, epoch and image alone, so runs that differ in scheme or in batch size see the
same images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from normlab.data.batching import epoch_order
from normlab.data.image.augment import Augmentation, Draws, apply, draw, normalise
from normlab.data.image.source import AUTO
from normlab.data.split import channel_statistics
from normlab.kernels.augment import AUGMENT
from normlab.tasks.base import Placement
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.resident import Pixels, resident
from normlab.tasks.image.splits import balanced_weights, choose_rows, read_images


class Batch(NamedTuple):
    """Images (N, C, H, W), normalised, labels (N,) int64, and with class weights what each image counts, (N,)."""

    images: Tensor
    labels: Tensor
    weights: Tensor | None = None


_UNCHANGED = Augmentation(pad=0, horizontal_flip=False)


@dataclass(frozen=True)
class ImageData:
    """What `prepare` returns: pixels and labels by source, and which rows make which split."""

    card: dict[str, Any]
    fingerprint: str
    sizes: dict[str, int]
    images: dict[str, Tensor]
    labels: dict[str, Tensor]
    rows: dict[str, tuple[str, Tensor]]  # split -> (source, row numbers)
    class_weights: Tensor | None = None  # (classes,) float32
    _placed: dict[torch.device, tuple[Pixels, ImageData] | None] = field(default_factory=dict, compare=False)

    def batch(self, split: str, chosen: Tensor, placement: Placement, draws: Draws, settings: Augmentation) -> Batch:
        """Return the images of a split at the positions `chosen` (int64), augmented by their draws, for the network."""
        source, rows = self.rows[split]
        index = rows[chosen]
        pixels, labels = self.images[source], self.labels[source][index]
        weights = None
        if self.class_weights is not None and split == "train":
            weights = self.class_weights[labels].to(placement.device, non_blocking=True)
        labels = labels.to(placement.device, non_blocking=True)
        constants: dict[str, Any] = {"mean": self.card["mean"], "std": self.card["std"], "dtype": placement.dtype}
        if draws.angle is None and pixels.device.type == placement.device.type:
            crops = {name: getattr(draws, name) for name in ("top", "left", "mirrored", "upturned")}
            layout: Any = {"memory_format": torch.channels_last, "pad": settings.pad}
            result = AUGMENT.try_call(pixels, index, **crops, **constants, **layout)
            if result is not None:
                return Batch(result, labels, weights)
        images = apply(pixels[index].to(placement.device, non_blocking=True), draws, settings)
        return Batch(to_network(images, self.card, placement), labels, weights)

    def on(self, device: torch.device) -> ImageData:
        """Return these data on a device if they fit there, else as they are.

        Runs on the same images share one copy, which is freed with the last of them.
        """
        if device.type == "cpu":
            return self
        if device not in self._placed:
            pixels = resident(self.fingerprint, self.images, self.labels, device)
            self._placed[device] = None if pixels is None else (pixels, self._beside(pixels, device))
        on_device = self._placed[device]
        return self if on_device is None else on_device[1]

    def _beside(self, pixels: Pixels, device: torch.device) -> ImageData:
        rows = {split: (source, numbers.to(device)) for split, (source, numbers) in self.rows.items()}
        weights = None if self.class_weights is None else self.class_weights.to(device)
        return replace(self, images=pixels.images, labels=pixels.labels, rows=rows, class_weights=weights)


def prepare(config: ImageConfig) -> ImageData:
    """Read the data set and divide it into splits; the test split is used only after training."""
    dataset = read_images(config)
    rows, note = choose_rows(dataset, config)
    mean, std = channel_statistics(dataset.images["train"], rows["train"][1])
    height, width = dataset.images["train"].shape[2:]
    weights = None
    if config.class_weights == "balanced":
        weights = balanced_weights(dataset.labels["train"][rows["train"][1]], len(dataset.classes))
    return ImageData(
        card={
            "data": dataset.name,
            "classes": list(dataset.classes),
            "image_size": [height, width],
            "mean": [float(value) for value in mean],
            "std": [float(value) for value in std],
            "notes": [f"{dataset.name}: {line}" for line in (*dataset.notes, note) if line],
            **({} if weights is None else {"class_weights": weights}),
            **({} if config.background == AUTO else {"background": config.background}),
        },
        fingerprint=dataset.fingerprint,
        sizes={split: len(numbers) for split, (_, numbers) in rows.items()},
        images={split: torch.from_numpy(pixels) for split, pixels in dataset.images.items()},
        labels={split: torch.from_numpy(labels) for split, labels in dataset.labels.items()},
        rows={split: (source, torch.from_numpy(numbers)) for split, (source, numbers) in rows.items()},
        class_weights=None if weights is None else torch.tensor(weights),
    )


def training_batches(config: ImageConfig, data: ImageData, epoch: int, placement: Placement) -> Iterator[Batch]:
    """Yield an epoch's augmented batches; the last one may be smaller."""
    count = data.sizes["train"]
    order = torch.from_numpy(epoch_order(count, config.seed, epoch))
    settings = augmentation(config)
    draws = draw(count, settings, config.seed, epoch)
    on_device = data.on(placement.device)
    if on_device is not data:  # copy what the epoch needs at once, so that no step copies and waits
        data, order, draws = on_device, order.to(placement.device), draws.to(placement.device)
    arranged = draws.take(order, placement.device)
    for start in range(0, count, config.batch_size):
        rows = slice(start, start + config.batch_size)
        drawn = Draws(*(None if values is None else placement.share(values[rows]) for values in arranged.parts()))
        yield data.batch("train", placement.share(order[rows]), placement, drawn, settings)


def evaluation_batches(config: ImageConfig, data: ImageData, split: str, placement: Placement) -> Iterator[Batch]:
    """Yield a split in order, not augmented."""
    data = data.on(placement.device)
    everything = torch.arange(data.sizes[split], device=data.rows[split][1].device)
    for chosen in everything.split(config.eval_batch_size):
        yield data.batch(split, chosen, placement, Draws(), _UNCHANGED)


def first_images(data: ImageData, count: int) -> Tensor:
    """Return the first training images, at most `count`: normalised, not augmented, float32 on the host."""
    chosen = torch.arange(min(count, data.sizes["train"]))
    return data.batch("train", chosen, Placement(torch.device("cpu")), Draws(), _UNCHANGED).images


def to_network(images: Tensor, card: Mapping[str, Any], placement: Placement) -> Tensor:
    """Convert uint8 (N, 3, H, W) to the network's input: normalised, channels last."""
    normal = normalise(images, card["mean"], card["std"], placement.dtype)
    return normal.contiguous(memory_format=torch.channels_last)


def augmentation(config: ImageConfig) -> Augmentation:
    """Return the settings of the random changes."""
    return Augmentation(
        pad=config.pad if config.crop else 0,
        horizontal_flip=config.flip,
        alternate=config.flip_alternately,
        vertical_flip=config.vertical_flip,
        rotation=config.rotation,
    )
