"""The residual network: size, names, shortcuts, start, and equal weights under every norm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from normlab.errors import UserError
from normlab.nn import ResNet
from normlab.nn.resnet import ResidualBlock
from normlab.norms import NORMS

AFFINE = ["torch_batch", "batch", "instance", "layer", "group"]


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", AFFINE)
@pytest.mark.parametrize("n, expected", [(2, 172_506), (3, 269_722)])
def test_number_of_parameters_is_the_papers(name: str, n: int, expected: int) -> None:
    assert size(ResNet(n, 10, name)) == expected


@pytest.mark.parametrize("n", [2, 3])
def test_number_of_parameters_differs_only_as_stated(n: int) -> None:
    channels = 16 + 2 * n * (16 + 32 + 64)  # outputs of all convolutions together
    assert size(ResNet(n, 10, "batch_instance")) == size(ResNet(n, 10)) + channels  # the gates
    assert size(ResNet(n, 10, "none")) == size(ResNet(n, 10)) - channels  # a bias instead of weight and bias


@pytest.mark.parametrize("n", [1, 2, 5])
def test_depth_is_6n_plus_2_with_a_norm_after_each_convolution(n: int) -> None:
    modules = list(ResNet(n, 10).modules())
    convolutions = sum(isinstance(m, nn.Conv2d) for m in modules)
    assert convolutions + sum(isinstance(m, nn.Linear) for m in modules) == 6 * n + 2
    assert sum(isinstance(m, NORMS.get("batch")) for m in modules) == convolutions


def test_names_of_convolutions_and_output_layer_do_not_depend_on_the_norm() -> None:
    names = {
        norm: [k for k, m in ResNet(2, 10, norm).named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        for norm in NORMS
    }
    assert all(found == names["batch"] for found in names.values())


def test_every_module_with_own_parameters_can_be_reset() -> None:
    for norm in NORMS:
        for module in ResNet(1, 10, norm).modules():
            if next(module.parameters(recurse=False), None) is not None:
                module.reset_parameters()


@pytest.mark.parametrize("name", NORMS.names())
@pytest.mark.parametrize("height, width", [(8, 8), (9, 15), (32, 32)])
def test_features_and_logits_have_their_shapes_at_any_size(name: str, height: int, width: int) -> None:
    model = ResNet(1, 7, name, in_channels=1)
    x = torch.randn(2, 1, height, width)
    features = model.features(x)
    assert features.shape == (2, 64)
    assert model(x).shape == (2, 7)
    torch.testing.assert_close(model.eval()(x), model.linear(model.features(x)))


def test_shortcut_takes_every_second_position_and_pads_with_zeros() -> None:
    block = ResidualBlock(16, 32, "none")
    nn.init.zeros_(block.conv2.weight)
    x = torch.rand(2, 16, 8, 8)
    y = block(x)
    torch.testing.assert_close(y[:, :16], x[:, :, ::2, ::2])
    assert (y[:, 16:] == 0).all()


@pytest.mark.parametrize("name", NORMS.names())
def test_network_keeps_channels_last(name: str) -> None:
    model = ResNet(1, 10, name).to(memory_format=torch.channels_last)
    seen: list[bool] = []
    for block in model.modules():
        if isinstance(block, ResidualBlock):
            block.register_forward_hook(
                lambda *args: seen.append(args[2].is_contiguous(memory_format=torch.channels_last))
            )
    model(torch.randn(2, 3, 16, 16).to(memory_format=torch.channels_last))
    assert seen == [True, True, True]


@pytest.mark.parametrize("n", [2, 3, 9])
def test_activations_without_norms_start_within_bounds(n: int) -> None:
    torch.manual_seed(0)
    features = ResNet(n, 10, "none").features(torch.randn(8, 3, 32, 32))
    assert features.isfinite().all()
    assert 1e-2 < features.std() < 10 * 2 ** (3 * n / 2 - 3)


def test_convolutions_start_with_the_fan_out_deviation() -> None:
    torch.manual_seed(0)
    weight = ResNet(1, 10).stages[2][0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((0, 10), {}, "n=0"),
        ((2, 1), {}, "num_classes=1"),
        ((2, 10, "grop"), {}, "did you mean 'group'"),
        ((2, 10, "layer"), {"groups": 4}, "has no option 'groups'"),
        ((2, 10, "group"), {"groups": 32}, "does not divide 16 channels"),
    ],
)
def test_mistakes_are_named(arguments: tuple, options: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ResNet(*arguments, **options)


def test_options_that_are_none_count_as_not_given() -> None:
    ResNet(1, 10, "layer", groups=None, momentum=None)


@pytest.mark.parametrize("name", NORMS.names())
def test_one_batch_can_be_learned_by_heart(name: str) -> None:
    torch.manual_seed(0)
    model = ResNet(1, 4, name)
    x, target = torch.randn(16, 3, 16, 16), torch.arange(16) % 4
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.5
