from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from normlab.data.image.augment import Augmentation, Draws, apply, draw, normalise, rotate
from normlab.data.split import channel_statistics
from normlab.kernels.augment import AUGMENT

OFF = Augmentation(pad=0, horizontal_flip=False)
ALL = Augmentation(pad=4, horizontal_flip=True, vertical_flip=True)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(0, 256, (50, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def _one_by_one(images: torch.Tensor, draws: Draws, pad: int) -> np.ndarray:
    """The oracle: each image alone, padded by NumPy, cut by slices, flipped by slices."""
    results = []
    for index, image in enumerate(images.numpy()):
        padded = np.pad(image, ((0, 0), (pad, pad), (pad, pad)))
        top, left = (int(offsets[index]) if offsets is not None else 0 for offsets in (draws.top, draws.left))
        cut = padded[:, top : top + image.shape[1], left : left + image.shape[2]]
        if draws.mirrored is not None and draws.mirrored[index]:
            cut = cut[:, :, ::-1]
        if draws.upturned is not None and draws.upturned[index]:
            cut = cut[:, ::-1]
        results.append(cut)
    return np.stack(results)


@pytest.mark.parametrize("pad", [0, 1, 4])
@pytest.mark.parametrize(("mirror", "upturn"), [(False, False), (True, False), (False, True), (True, True)])
def test_apply_equals_cutting_each_image_alone(images, pad, mirror, upturn):
    settings = Augmentation(pad=pad, horizontal_flip=mirror, vertical_flip=upturn)
    draws = draw(len(images), settings, seed=3, epoch=2)
    result = apply(images, draws, settings)
    assert result.dtype == torch.uint8
    assert np.array_equal(result.numpy(), _one_by_one(images, draws, pad))


@pytest.mark.parametrize("corner", [(0, 0), (0, 8), (8, 0), (8, 8)])
def test_last_offsets_cut_the_far_corners(images, corner):
    draws = Draws(top=torch.full((50,), corner[0]), left=torch.full((50,), corner[1]))
    settings = Augmentation(horizontal_flip=False)
    assert np.array_equal(apply(images, draws, settings).numpy(), _one_by_one(images, draws, 4))


def test_apply_keeps_non_square_images_and_one_channel():
    images = torch.arange(2 * 6 * 10, dtype=torch.uint8).view(2, 1, 6, 10)
    draws = draw(2, ALL, seed=0, epoch=0)
    assert np.array_equal(apply(images, draws, ALL).numpy(), _one_by_one(images, draws, 4))


def test_channels_last_images_are_cropped_alike(images):
    draws = draw(len(images), ALL, seed=0, epoch=0)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(apply(channels_last, draws, ALL), apply(images, draws, ALL))


def test_every_offset_is_reached_equally_often():
    draws = draw(81_000, Augmentation(), seed=0, epoch=0)
    counts = np.bincount((draws.top * 9 + draws.left).numpy(), minlength=81)
    assert len(counts) == 81
    # 1,000 expected each; six standard deviations of a binomial count
    assert np.abs(counts - 1000).max() < 6 * math.sqrt(1000)


def test_each_flip_happens_to_half_of_the_images_independently():
    draws = draw(40_000, ALL, seed=0, epoch=0)
    counts = np.bincount(draws.mirrored.int() * 2 + draws.upturned.int(), minlength=4)
    assert np.abs(counts - 10_000).max() < 6 * math.sqrt(7_500)


@pytest.mark.parametrize("epoch", [0, 1, 6])
def test_alternating_flips_show_each_image_both_ways_in_two_epochs(epoch):
    settings = Augmentation(pad=0, alternate=True)
    now, then = (draw(10_000, settings, seed=3, epoch=number).mirrored for number in (epoch, epoch + 1))
    assert torch.equal(now, ~then)
    assert 0.47 < now.float().mean() < 0.53
    assert torch.equal(now, draw(10_000, settings, seed=3, epoch=epoch + 2).mirrored)


def test_flips_twice_are_no_change(images):
    yes = torch.ones(len(images), dtype=torch.bool)
    flips = Draws(mirrored=yes, upturned=yes)
    assert not torch.equal(apply(images, flips, OFF), images)
    assert torch.equal(apply(apply(images, flips, OFF), flips, OFF), images)


def test_everything_off_changes_nothing_and_draws_nothing(images):
    draws = draw(len(images), OFF, seed=0, epoch=0)
    assert draws == Draws()
    assert torch.equal(apply(images, draws, OFF), images)


def test_what_an_image_meets_does_not_depend_on_its_batch(images):
    draws = draw(len(images), ALL, seed=1, epoch=5)
    whole = apply(images, draws, ALL)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    assert len(order) > 7
    for size in (1, 7, 50):
        for index in order.split(size):
            assert torch.equal(apply(images[index], draws.take(index), ALL), whole[index])


def _same(one: Draws, two: Draws) -> bool:
    return all(torch.equal(getattr(one, name), getattr(two, name)) for name in ("top", "left", "mirrored"))


def test_draws_are_a_function_of_seed_and_epoch():
    settings = Augmentation()
    assert _same(draw(100, settings, 1, 2), draw(100, settings, 1, 2))
    assert not _same(draw(100, settings, 1, 2), draw(100, settings, 1, 3))
    assert not _same(draw(100, settings, 1, 2), draw(100, settings, 2, 2))


def test_switching_the_flips_leaves_the_crops_as_they_were():
    with_flips, without = draw(100, ALL, 0, 0), draw(100, Augmentation(horizontal_flip=False), 0, 0)
    assert torch.equal(with_flips.top, without.top)
    assert torch.equal(with_flips.left, without.left)
    assert not torch.equal(with_flips.top, with_flips.left)


def test_apply_never_waits_for_the_device():
    # A meta tensor has no values: anything that had to look at one (a boolean mask, .item()) would raise.
    settings = Augmentation(vertical_flip=True, rotation=10.0)
    draws = draw(8, settings, 0, 0).take(torch.arange(8), "meta")
    result = apply(torch.empty(8, 3, 32, 32, dtype=torch.uint8, device="meta"), draws, settings)
    assert result.shape == (8, 3, 32, 32)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotation_by_right_angles_equals_rot90(images, turns):
    rotated = rotate(images, torch.full((len(images),), turns * math.pi / 2))
    assert torch.allclose(rotated, torch.rot90(images.float(), turns, dims=(2, 3)), atol=0.02)


def test_rotation_keeps_shapes_round_in_non_square_images():
    # A disc in the middle of a wide image stays a disc under any rotation; a wrong ratio would make it an ellipse.
    y, x = torch.meshgrid(torch.arange(20) - 9.5, torch.arange(40) - 19.5, indexing="ij")
    disc = (255.0 * torch.sigmoid(6 - (x**2 + y**2).sqrt())).view(1, 1, 20, 40)
    assert torch.allclose(rotate(disc, torch.tensor([0.7])), disc, atol=8.0)


def test_angles_fill_the_range_in_both_directions():
    angle = draw(10_000, Augmentation(rotation=15.0), 0, 0).angle
    largest = math.radians(15)
    assert angle.abs().max() <= largest
    assert angle.min() < -0.99 * largest
    assert angle.max() > 0.99 * largest
    assert abs(angle.mean()) < 6 * largest / math.sqrt(3 * 10_000)


def test_normalise_equals_the_formula(images):
    mean, std = [0.49, 0.48, 0.45], [0.247, 0.243, 0.262]
    expected = (images.double() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert torch.allclose(normalise(images, mean, std).double(), expected, atol=1e-5)


@pytest.mark.parametrize("value", [0, 77])
def test_a_constant_channel_becomes_zeros_on_every_path(images, value):
    images[:, 2] = value
    mean, std = channel_statistics(images.numpy(), range(len(images)))
    for stds in (std, [*std[:2], 0.0]):  # 0 is what other programs give for it
        normal = normalise(images, mean, stds)
        assert normal[:, 2].abs().max() < 1e-6
        assert 0.9 < normal[:, :2].std() < 1.1
        fast = AUGMENT.try_call(images, torch.arange(50), mean=list(mean), std=list(stds))
        if fast is not None:
            torch.testing.assert_close(fast, normal)


def test_normalise_computes_in_float32_whatever_it_returns(images):
    half = normalise(images, [0.5] * 3, [0.25] * 3, torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, normalise(images, [0.5] * 3, [0.25] * 3).bfloat16())


def test_normalise_first_used_in_inference_still_gives_gradients_later():
    constants = [0.123, 0.2, 0.3], [0.3, 0.2, 0.1]
    with torch.inference_mode():
        normalise(torch.ones(1, 3, 2, 2), *constants)
    x = torch.ones(1, 3, 2, 2, requires_grad=True)
    normalise(x, *constants).sum().backward()
    assert torch.allclose(x.grad[0, :, 0, 0], 1 / (255 * torch.tensor(constants[1])))
