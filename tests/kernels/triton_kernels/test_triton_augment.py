"""The Triton crop, flip and normalisation equals `data.augment`, every change on and off."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from normlab.data.image.augment import Augmentation, apply, draw, normalise


@pytest.mark.parametrize(
    "settings",
    [
        Augmentation(pad=2, vertical_flip=True),
        Augmentation(pad=4, horizontal_flip=False),
        Augmentation(pad=0, horizontal_flip=True),
        Augmentation(pad=0, horizontal_flip=False),
    ],
    ids=["all", "crop", "flip", "none"],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_equals_the_plain_augmentation(
    settings: Augmentation, layout: torch.memory_format, dtype: torch.dtype
) -> None:
    from normlab.kernels.augment.triton import crop_flip_normalise

    images = torch.randint(0, 256, (9, 3, 6, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    index = torch.tensor([8, 0, 3, 3])
    drawn = draw(4, settings, seed=1, epoch=2)
    constants: dict[str, Any] = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3), "dtype": dtype}
    draws = {name: getattr(drawn, name) for name in ("top", "left", "mirrored", "upturned")}
    computed = crop_flip_normalise(images, index, pad=settings.pad, memory_format=layout, **draws, **constants)
    expected = normalise(apply(images[index], drawn, settings), **constants)
    # One multiplication and one addition, which the compiler may round once or twice.
    torch.testing.assert_close(computed, expected, atol=1e-6 if dtype == torch.float32 else 2e-2, rtol=0)
    assert computed.is_contiguous(memory_format=layout)
