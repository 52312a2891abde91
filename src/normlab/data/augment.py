"""Random crops, flips and rotations, batched on whatever device holds the images.

Drawing and applying are apart. An epoch's draws are made once, for all training images by index, each kind
from its own stream keyed on (seed, epoch): what an image meets depends on neither the batch size nor the
order, and switching the flip on leaves the crops as they were. Applying is one gather: no loop over images,
no boolean mask, nothing that makes the host wait for the device. Letters: N images, C channels, H rows, W
columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.data.streams import words


@dataclass(frozen=True)
class Augmentation:
    """Which random changes are made; the default is that of He et al. 2016, section 4.2.

    Args:
        pad: zeros put around the image before a crop of its own size; 0 is no crop.
        horizontal_flip: mirror left and right with probability 1/2.
        vertical_flip: mirror top and bottom with probability 1/2.
        rotation: largest angle in degrees, drawn uniformly from both directions; 0 is none.
    """

    pad: int = 4
    horizontal_flip: bool = True
    vertical_flip: bool = False
    rotation: float = 0.0


@dataclass(frozen=True)
class Draws:
    """What was drawn for each image, or None where the change is off.

    Args:
        top, left: int64 (N,), the corner of the crop in the padded image, 0 to 2·pad; pad, pad is the middle.
        mirrored, upturned: bool (N,).
        angle: float32 (N,), radians, counter-clockwise.
    """

    top: Tensor | None = None
    left: Tensor | None = None
    mirrored: Tensor | None = None
    upturned: Tensor | None = None
    angle: Tensor | None = None

    def take(self, index: Tensor, device: torch.device | str | None = None) -> Draws:
        """Return the draws of the images `index` (int64, on the CPU), moved to `device`."""

        def pick(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[index].to(device or values.device, non_blocking=True)

        parts = (self.top, self.left, self.mirrored, self.upturned, self.angle)
        return Draws(*map(pick, parts))


def draw(count: int, settings: Augmentation, seed: int, epoch: int) -> Draws:
    """Draw for `count` images what they meet in epoch `epoch`; cheap, on the CPU."""

    def integers(purpose: str, below: int) -> Tensor:
        return torch.from_numpy((words(count, seed, f"augment/{purpose}", epoch) % np.uint64(below)).astype(np.int64))

    def unit(purpose: str) -> Tensor:
        # 53 bits make a float64 in [0, 1), the usual way
        return torch.from_numpy((words(count, seed, f"augment/{purpose}", epoch) >> np.uint64(11)) * 2.0**-53)

    offsets = 2 * settings.pad + 1
    largest = math.radians(settings.rotation)
    return Draws(
        top=integers("top", offsets) if settings.pad else None,
        left=integers("left", offsets) if settings.pad else None,
        mirrored=integers("mirrored", 2).bool() if settings.horizontal_flip else None,
        upturned=integers("upturned", 2).bool() if settings.vertical_flip else None,
        angle=((2 * unit("angle") - 1) * largest).float() if settings.rotation else None,
    )


def apply(images_nchw: Tensor, draws: Draws, settings: Augmentation) -> Tensor:
    """Crop, flip and rotate each image by its own draws.

    Args:
        images_nchw: (N, C, H, W), uint8.
        draws: of these N images, on the same device.
        settings: the ones that `draws` were drawn with.
    Returns: (N, C, H, W), uint8; float32 with values 0 to 255 after a rotation, which interpolates.
    """
    height, width = images_nchw.shape[2:]
    device = images_nchw.device
    rows = _positions(height, draws.top, draws.upturned, device)
    columns = _positions(width, draws.left, draws.mirrored, device)
    if settings.pad:
        images_nchw = F.pad(images_nchw, (settings.pad,) * 4)
    if rows is not None:
        images_nchw = torch.take_along_dim(images_nchw, rows[:, None, :, None], dim=2)
    if columns is not None:
        images_nchw = torch.take_along_dim(images_nchw, columns[:, None, None, :], dim=3)
    return images_nchw if draws.angle is None else rotate(images_nchw, draws.angle)


def rotate(images_nchw: Tensor, angle: Tensor) -> Tensor:
    """Rotate each image about its middle by `angle` (N,), radians, counter-clockwise; bilinear, zeros outside.

    Returns: (N, C, H, W), float32.
    """
    _, _, height, width = images_nchw.shape
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # Each output pixel is looked up in the input, so the matrix is the inverse rotation; y points down; the
    # grid is in halves of the width and height, hence the ratios.
    theta = torch.stack([cos, -sin * (height / width), zero, sin * (width / height), cos, zero], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, list(images_nchw.shape), align_corners=False)
    return F.grid_sample(images_nchw.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def normalise(
    images_nchw: Tensor,
    mean: Sequence[float] | Tensor,
    std: Sequence[float] | Tensor,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return (x / 255 - mean) / std per channel, computed in float32 and given as `dtype`.

    Args:
        images_nchw: (N, C, H, W), values 0 to 255.
        mean, std: per channel, in units of [0, 1], as `channel_statistics` gives them.
    """
    key = tuple(float(m) for m in mean), tuple(float(s) for s in std)
    scale, shift = _scale_and_shift(*key, images_nchw.device)
    return (images_nchw.float() * scale + shift).to(dtype)


@lru_cache(maxsize=16)
def _scale_and_shift(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Keep the constants on the device: a copy at every step would make the host wait."""
    with torch.inference_mode(False):
        scale = torch.tensor([1 / (255 * s) for s in std], device=device).view(-1, 1, 1)
        shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=device).view(-1, 1, 1)
    return scale, shift


def _positions(length: int, offset: Tensor | None, flipped: Tensor | None, device: torch.device) -> Tensor | None:
    """Return (N, length): which row or column of the padded image each one of the result is; None if unchanged."""
    forward = torch.arange(length, device=device)
    positions = None if flipped is None else torch.where(flipped[:, None], length - 1 - forward, forward)
    if offset is None:
        return positions
    return offset[:, None] + (forward if positions is None else positions)
