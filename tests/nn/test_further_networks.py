"""The networks beside ResNet, and standardised weights: shapes, schemes, starts, and the formulas of their papers."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from normlab.errors import UserError
from normlab.nn import ConvNeXt, PreActResNet, ResNet, VisionTransformer, standardize_weights
from normlab.nn.classifier import ImageClassifier, norm_outputs
from normlab.nn.networks import NETWORKS
from normlab.nn.resnet import HeConv2d
from normlab.norms.base import Norm
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.distributions import LayerWatch
from normlab.tasks.image.network import build_network

SCHEMES = ["batch", "none", "evonorm_s0", "layer_pixel"]


def network(model: str, **values: object) -> ImageClassifier:
    torch.manual_seed(0)
    card = {"classes": list("0123456"), "image_size": [16, 16]}
    return build_network(ImageConfig.parse({"model": model, "n": 1, **values}, "test"), card)


@pytest.mark.parametrize("model", NETWORKS.names())
@pytest.mark.parametrize("norm", SCHEMES)
def test_every_network_has_logits_features_and_gradients_under_a_scheme(model: str, norm: str) -> None:
    net, x = network(model, norm=norm), torch.randn(2, 3, 16, 16)
    logits = net(x)
    assert logits.shape == (2, 7)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    net.eval()
    torch.testing.assert_close(net(x), net.linear(net.features(x)))


@pytest.mark.parametrize("model", NETWORKS.names())
def test_every_module_with_own_parameters_can_be_reset(model: str) -> None:
    for module in network(model, weight_standardized="scaled").modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.reset_parameters()


@pytest.mark.parametrize("model", NETWORKS.names())
def test_weights_and_their_names_do_not_depend_on_the_scheme(model: str) -> None:
    def weights(norm: str) -> dict[str, Tensor]:
        net = network(model, norm=norm)
        norms = {name for name, module in net.named_modules() if isinstance(module, Norm)}
        return {key: v for key, v in net.state_dict().items() if key.rpartition(".")[0] not in norms}

    torch.testing.assert_close(weights("batch"), weights("layer"))


@pytest.mark.parametrize("model", NETWORKS.names())
def test_the_watch_sees_each_layer_and_changes_nothing(model: str) -> None:
    net, x = network(model, norm="group").eval(), torch.randn(2, 3, 16, 16)
    with torch.no_grad(), LayerWatch(net, (1, 99)) as watch:
        watched = net(x)
    torch.testing.assert_close(watched, net(x), rtol=0, atol=0)
    layers = watch.summary()
    assert len(layers) == len(list(net.activation_points()))
    assert all(layer["p01"] <= layer["p99"] for layer in layers.values())
    assert 0 <= watch.dead_share <= 1


def test_the_output_of_token_norms_has_its_channels_last() -> None:
    net = nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6))
    nn.init.zeros_(net[1].weight.data[:2])
    assert [name for name, _, _ in norm_outputs(net)] == ["1"]
    with torch.no_grad(), LayerWatch(net, (1, 99)) as watch:
        net(torch.randn(2, 5, 3))
    assert watch.summary()["1"]["dead"] == pytest.approx(2 / 6)


def test_preactivation_blocks_leave_the_path_of_the_sums_alone() -> None:
    net = PreActResNet(2, 10, "batch").eval()
    block, x = net.stages[0][1], torch.randn(2, 16, 8, 8)
    expected = x + block.conv2(F.relu(block.norm2(block.conv1(F.relu(block.norm1(x))))))
    torch.testing.assert_close(block(x), expected)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (net, ResNet(2, 10))]
    assert sizes[0] == sizes[1]  # two of its norms are narrower, and the last one makes up for it


def test_the_transformers_layer_norm_of_each_token_is_torchs() -> None:
    net, x = VisionTransformer(10, "layer_pixel"), torch.randn(2, 128, 64)
    expected = F.layer_norm(x.transpose(1, 2), (128,), eps=net.norm.eps).transpose(1, 2)
    torch.testing.assert_close(net.norm(x), expected)


def test_attention_is_torchs_multi_head_attention() -> None:
    block = VisionTransformer(10).blocks[0]
    theirs = nn.MultiheadAttention(128, 4, batch_first=True)
    theirs.in_proj_weight, theirs.in_proj_bias = block.attention_inputs.weight, block.attention_inputs.bias
    theirs.out_proj.weight, theirs.out_proj.bias = block.attention_output.weight, block.attention_output.bias
    x = torch.randn(2, 9, 128)
    torch.testing.assert_close(block._attend(x), theirs(x, x, x, need_weights=False)[0], rtol=1e-4, atol=1e-5)


def test_patches_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"30 x 32: give --image-size a multiple of 4"):
        VisionTransformer(10, image_size=(30, 32))


@pytest.mark.parametrize("scaled", [False, True])
def test_standardised_convolutions_compute_with_weights_of_mean_0_and_variance_1(scaled: bool) -> None:
    torch.manual_seed(0)
    plain, x = nn.Conv2d(4, 8, 3, padding=1), torch.randn(2, 4, 6, 6)
    layer = copy.deepcopy(plain)
    assert standardize_weights(nn.Sequential(layer), scaled=scaled) == ["0"]
    var, mean = torch.var_mean(plain.weight, (1, 2, 3), correction=0, keepdim=True)
    weight = (plain.weight - mean) / (var + 1e-5).sqrt()
    if scaled:
        weight = weight * math.sqrt(2 / (1 - 1 / math.pi) / (4 * 9))
    torch.testing.assert_close(layer(x), F.conv2d(x, weight, plain.bias, padding=1))
    assert set(layer.state_dict()) - set(plain.state_dict()) == ({"gain"} if scaled else set())
    torch.testing.assert_close(copy.deepcopy(layer)(x), layer(x))
    layer(x).sum().backward()
    assert layer.weight.grad.sum((1, 2, 3)).abs().max() < 1e-3  # a common offset does nothing


def test_scaled_standardised_weights_keep_the_size_of_relus_without_norms() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(*(m for _ in range(8) for m in (nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.ReLU())))
    standardize_weights(net, scaled=True)
    out = net(torch.randn(4, 64, 12, 12).relu())
    assert 0.3 < out.std() / torch.randn(1000).relu().std() < 3


def test_convolutions_that_compute_in_their_own_way_are_refused() -> None:
    class Padded(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(F.pad(x, (1, 1, 1, 1)))

    with pytest.raises(UserError, match=r"1 is a Padded, which computes its output in its own way"):
        standardize_weights(nn.Sequential(nn.Conv2d(3, 3, 1), Padded(3, 3, 3)))
    with pytest.raises(UserError, match=r"has no convolution"):
        standardize_weights(nn.Linear(2, 2))


def test_the_setting_standardises_every_convolution_of_any_network() -> None:
    for model in NETWORKS:
        for module in network(model, weight_standardized="true").modules():
            if isinstance(module, nn.Conv2d):
                assert type(module).__name__.startswith("Standardized")
    assert type(network("resnet").conv) is HeConv2d
    assert isinstance(network("convnext_tiny32"), ConvNeXt)
