"""Random crops, flips and rotations, batched on whatever device holds the images.

Drawing and applying are separate. An epoch's draws are made once, for all training images by index, each kind
from its own stream keyed on (seed, epoch): what happens to an image depends on neither the batch size nor
the order, and switching the flip on leaves the crops as they were. Applying is selection: no loop over images,
no boolean mask, nothing that makes the host wait for the device. Dimensions: N images, C channels, H rows, W
columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
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
        alternate: mirror in every second epoch instead, half of the images in the even ones (Jordan 2024, sec. 3.6):
            two epochs show each image both ways once, where chance shows a quarter of them twice as it is.
        vertical_flip: mirror top and bottom with probability 1/2.
        rotation: largest angle in degrees, drawn uniformly from both directions; 0 is none.
    """

    pad: int = 4
    horizontal_flip: bool = True
    alternate: bool = False
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
        """Return the draws of the images `index` (int64, beside the draws), moved to `device`."""

        def pick(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[index].to(device or values.device, non_blocking=True)

        return Draws(*map(pick, self.parts()))

    def to(self, device: torch.device) -> Draws:
        """Return the same draws on a device: one copy an epoch, so that no step needs one."""
        return Draws(*(None if values is None else values.to(device) for values in self.parts()))

    def parts(self) -> tuple[Tensor | None, ...]:
        """Return all fields, in their order."""
        return self.top, self.left, self.mirrored, self.upturned, self.angle


def draw(count: int, settings: Augmentation, seed: int, epoch: int) -> Draws:
    """Draw the changes of `count` images in epoch `epoch`; cheap, on the CPU."""

    def integers(purpose: str, below: int) -> Tensor:
        return torch.from_numpy((words(count, seed, f"augment/{purpose}", epoch) % np.uint64(below)).astype(np.int64))

    def unit(purpose: str) -> Tensor:
        # 53 bits make a float64 in [0, 1), the usual way
        return torch.from_numpy((words(count, seed, f"augment/{purpose}", epoch) >> np.uint64(11)) * 2.0**-53)

    def mirrored() -> Tensor:
        if not settings.alternate:
            return integers("mirrored", 2).bool()
        at_first = words(count, seed, "augment/mirrored", 0) % np.uint64(2)
        return torch.from_numpy(at_first.astype(np.int64) ^ (epoch % 2)).bool()

    offsets = 2 * settings.pad + 1
    largest = math.radians(settings.rotation)
    return Draws(
        top=integers("top", offsets) if settings.pad else None,
        left=integers("left", offsets) if settings.pad else None,
        mirrored=mirrored() if settings.horizontal_flip else None,
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
    if draws.top is not None and draws.left is not None:
        images_nchw = _crop(images_nchw, draws.top, draws.left, settings.pad)
    if draws.mirrored is not None:
        images_nchw = torch.where(draws.mirrored[:, None, None, None], images_nchw.flip(3), images_nchw)
    if draws.upturned is not None:
        images_nchw = torch.where(draws.upturned[:, None, None, None], images_nchw.flip(2), images_nchw)
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
    mean: Iterable[float],
    std: Iterable[float],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return (x / 255 - mean) / std per channel, computed in float32 and given as `dtype`.

    Args:
        images_nchw: (N, C, H, W), values 0 to 255.
        mean, std: per channel, in units of [0, 1], as `channel_statistics` gives them: plain numbers, kept on the
            device by their values. A std of 0, that of a constant channel, counts as 1.
    """
    key = tuple(float(m) for m in mean), tuple(float(s) for s in std)
    scale, shift = _scale_and_shift(*key, images_nchw.device)
    return (images_nchw.float() * scale + shift).to(dtype)


@lru_cache(maxsize=16)
def _scale_and_shift(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Keep the constants on the device: a copy at every step would make the host wait."""
    with torch.inference_mode(False):
        scale = torch.tensor([1 / (255 * (s or 1)) for s in std], device=device).view(-1, 1, 1)
        shift = torch.tensor([-m / (s or 1) for m, s in zip(mean, std, strict=True)], device=device).view(-1, 1, 1)
    return scale, shift


def _crop(images_nchw: Tensor, top: Tensor, left: Tensor, pad: int) -> Tensor:
    """Cut (H, W) at each image's own corner out of the zero-padded image.

    A row of the result is W neighbouring bytes of the padded batch. All such windows are one view, so the batch is
    one selection of N·C·H windows, six times faster on a CPU than indexing pixels.
    """
    count, channels, height, width = images_nchw.shape
    padded = F.pad(images_nchw, (pad,) * 4).contiguous()  # also from channels-last images
    rows_nh = top[:, None] + torch.arange(height, device=top.device)
    planes_nc = torch.arange(count * channels, device=top.device).view(count, channels) * (height + 2 * pad)
    starts_nch = (planes_nc[:, :, None] + rows_nh[:, None]) * (width + 2 * pad) + left[:, None, None]
    windows = padded.view(-1).unfold(0, width, 1)
    return windows.index_select(0, starts_nch.view(-1)).view_as(images_nchw)
