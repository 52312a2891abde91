"""The network of the sprint: whitened patches, filters that start as the identity, answers as means over views."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from normlab.errors import UserError
from normlab.nn.sprint import IdentityConv2d, SprintNet, Whitening
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.network import build_network


def images(count: int = 200, size: int = 16) -> Tensor:
    """Smooth images with correlated channels."""
    noise = torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(0))
    smooth = F.avg_pool2d(noise, 3, stride=1, padding=1)
    return torch.cat([smooth, 0.5 * smooth, smooth.flip(3)], 1) + 0.1 * noise


def test_whitened_patches_are_uncorrelated_with_unit_variance() -> None:
    whiten = Whitening()
    whiten.fit(images(), eps=0.0)
    patches = whiten(images()).transpose(0, 1).flatten(1)[:12].double()
    torch.testing.assert_close(patches @ patches.T / patches.shape[1], torch.eye(12).double(), atol=2e-2, rtol=0)


def test_each_filter_comes_with_its_negative_and_none_is_trained() -> None:
    whiten = Whitening()
    whiten.fit(images())
    assert torch.equal(whiten.weight[:12], -whiten.weight[12:])
    assert [name for name, _ in whiten.named_parameters()] == ["bias"]
    assert "weight" in whiten.state_dict()


def test_the_first_filters_of_a_convolution_copy_its_input() -> None:
    convolution = IdentityConv2d(3, 8, norm="batch")
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(convolution(x)[:, :3], x)


def started(views: str) -> SprintNet:
    torch.manual_seed(0)
    net = SprintNet(5, "group", views=views)  # type: ignore[arg-type]
    net.start_from_images(images())
    return net.eval()


def test_an_answer_is_the_mean_over_the_image_and_its_mirror_image() -> None:
    one, both, x = started("one"), started("mirror"), images(4)
    torch.testing.assert_close(both(x), (one(x) + one(x.flip(3))) / 2)
    torch.testing.assert_close(both(x), both(x.flip(3)))
    assert not torch.allclose(one(x), one(x.flip(3)), atol=1e-4)


def test_shifted_views_weigh_as_much_as_the_centred_one() -> None:
    mirror, shift, x = started("mirror"), started("shift"), images(4)
    padded = F.pad(x, (1,) * 4, mode="reflect")
    moved = [mirror(padded[:, :, top : top + 16, top : top + 16]) for top in (0, 2)]
    torch.testing.assert_close(shift(x), mirror(x) / 2 + sum(moved) / 4)


def test_training_sees_one_view() -> None:
    shift, one, x = started("shift").train(), started("one").train(), images(4)
    torch.testing.assert_close(shift(x), one(x))


def test_too_small_an_image_is_refused_in_a_line() -> None:
    card = {"classes": ["a", "b"], "image_size": [8, 8]}
    with pytest.raises(UserError, match=r"sprint: .*at least 9"):
        build_network(ImageConfig.parse({"model": "sprint"}, "test"), card)
