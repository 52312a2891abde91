"""The augmentation kernel equals padding, slicing and flipping done image by image."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from normlab.kernels.augment import AUGMENT

pytestmark = pytest.mark.skipif(bool(AUGMENT.reason_against_cpu()), reason="the kernel is not built here")
MEAN, STD = (0.49, 0.48, 0.45), (0.2, 0.3, 0.25)


def one_by_one(images: Tensor, index: Tensor, pad: int, draws: dict[str, Tensor]) -> Tensor:
    H, W = images.shape[2:]
    results = []
    for n, i in enumerate(index.tolist()):
        image = images[i]
        if "top" in draws:
            top, left = int(draws["top"][n]), int(draws["left"][n])
            image = F.pad(image, (pad,) * 4)[:, top : top + H, left : left + W]
        image = image.flip(2) if "mirrored" in draws and draws["mirrored"][n] else image
        results.append(image.flip(1) if "upturned" in draws and draws["upturned"][n] else image)
    mean, std = (torch.tensor(row, dtype=torch.float64)[:, None, None] for row in (MEAN, STD))
    return (torch.stack(results).double() / 255 - mean) / std


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 20)),
    pad=st.integers(0, 12),
    absent=st.sets(st.sampled_from(["crop", "mirrored", "upturned"])),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    memory_format=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    seed=st.integers(0, 10**6),
)
def test_the_batch_equals_images_cropped_and_flipped_one_by_one(
    size: tuple[int, int],
    pad: int,
    absent: set[str],
    dtype: torch.dtype,
    memory_format: torch.memory_format,
    seed: int,
) -> None:
    torch.manual_seed(seed)
    images, index = torch.randint(0, 256, (5, 3, *size), dtype=torch.uint8), torch.randint(0, 5, (7,))
    draws = {name: torch.randint(0, 2 * pad + 1, (7,)) for name in ("top", "left") if "crop" not in absent}
    draws |= {name: torch.rand(7) < 0.5 for name in ("mirrored", "upturned") if name not in absent}
    options = {"pad": pad, "dtype": dtype, "memory_format": memory_format}
    computed = AUGMENT.try_call(images, index, mean=MEAN, std=STD, **options, **draws)  # type: ignore[arg-type]
    assert computed is not None
    assert computed.dtype == dtype
    assert computed.is_contiguous(memory_format=memory_format)
    tolerance = 1e-6 if dtype == torch.float32 else 2**-8
    torch.testing.assert_close(computed.double(), one_by_one(images, index, pad, draws), rtol=tolerance, atol=1e-6)


def test_an_index_outside_of_the_images_is_an_error() -> None:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    with pytest.raises(IndexError, match="2 images"):
        AUGMENT.try_call(images, torch.tensor([2]), mean=MEAN, std=STD)


def test_a_draw_of_another_length_is_an_error() -> None:
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"\(1,\)"):
        AUGMENT.try_call(images, torch.tensor([0]), mean=MEAN, std=STD, mirrored=torch.ones(2).bool())


def test_images_that_the_kernel_does_not_take_are_left_to_the_reference() -> None:
    images, index = torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([0])
    assert AUGMENT.try_call(images, index, mean=MEAN, std=STD) is not None
    assert AUGMENT.try_call(images.float(), index, mean=MEAN, std=STD) is None
    assert AUGMENT.try_call(images[..., ::2], index, mean=MEAN, std=STD) is None
