"""Baseline: training a ResNet-14 as course programs write it. It is slow on purpose.

A data set that augments one image at a time, torch's default `DataLoader`, torch's own batch norm, float32, eager, the
loss and the accuracy read after every step.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

_MEAN, _STD = torch.tensor([0.49, 0.48, 0.45]), torch.tensor([0.25, 0.24, 0.26])


class PerImage(Dataset[tuple[Tensor, int]]):
    """Images (N, 3, 32, 32) uint8, each padded, cropped, mirrored and normalised when it is asked for."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = F.pad(self.images[index].float() / 255, (4, 4, 4, 4))
        top, left = random.randint(0, 8), random.randint(0, 8)
        image = image[:, top : top + 32, left : left + 32]
        image = image.flip(2) if random.random() < 0.5 else image
        return (image - _MEAN[:, None, None]) / _STD[:, None, None], int(self.labels[index])


class Block(nn.Module):
    """conv, norm, ReLU, conv, norm, sum, ReLU; a projection where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        hidden = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(hidden)) + self.shortcut(x))


def student_resnet() -> nn.Module:
    """Return a ResNet-14 for 10 classes."""
    blocks = [
        Block(16, 16, 1),
        Block(16, 16, 1),
        Block(16, 32, 2),
        Block(32, 32, 1),
        Block(32, 64, 2),
        Block(64, 64, 1),
    ]
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class StudentTraining:
    """Callable: trains `steps` batches."""

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int, steps: int) -> None:
        self.loader = DataLoader(PerImage(images, labels), batch_size, shuffle=True)
        self.model, self.steps = student_resnet(), steps
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
        self.correct, self.loss = 0, 0.0
        self._batches: Iterator[list[Tensor]] = iter(())

    def __call__(self) -> None:
        """Train."""
        for _ in range(self.steps):
            batch = next(self._batches, None)
            if batch is None:
                self._batches = iter(self.loader)
                batch = next(self._batches)
            images, labels = batch
            self.optimizer.zero_grad()
            logits = self.model(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            self.optimizer.step()
            self.loss += loss.item()
            self.correct += int((logits.argmax(1) == labels).sum().item())
