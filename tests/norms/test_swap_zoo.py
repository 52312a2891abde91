"""Swaps in the networks of timm and transformers: no norm is overlooked, nothing else changes, all runs afterwards."""

from __future__ import annotations

import copy
import re
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from normlab.norms.base import Norm
from normlab.norms.swap import swap_norms

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
TOKENS = torch.ones(2, 5, dtype=torch.long)

# Name -> settings that make it small, how many norms it has, and how many of them are layer norms over tokens.
TIMM: dict[str, tuple[dict[str, Any], int, int]] = {
    "resnet10t": ({}, 14, 0),
    "mobilenetv3_small_050": ({}, 34, 0),
    "lcnet_035": ({}, 27, 0),
    "tinynet_e": ({}, 31, 0),
    "mnasnet_small": ({}, 46, 0),
    "regnetx_002": ({}, 44, 0),
    "ghostnet_050": ({}, 80, 0),
    "dla46_c": ({}, 48, 0),
    "repghostnet_050": ({}, 112, 0),
    "starnet_s1": ({}, 36, 0),
    "convnext_atto": ({"depths": (1, 1, 1, 1), "dims": (8, 16, 16, 16)}, 9, 0),
    "edgenext_xx_small": ({}, 20, 15),
    "mobilevit_xxs": ({}, 53, 21),
}


def small_densenet(timm: Any) -> nn.Module:
    return timm.models.densenet.DenseNet(growth_rate=4, block_config=(2, 2), num_classes=3)


def check_swap(model: nn.Module, example: Any, num_norms: int, num_tokens: int) -> None:
    """Swap to batch norm, under which batch norms compute what they did, and to group norm, and run."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, _NormBase) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    model.eval()
    norms = {name for name, m in model.named_modules() if isinstance(m, _NormBase | nn.GroupNorm | nn.LayerNorm)}
    ours, grouped = copy.deepcopy(model), copy.deepcopy(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        only_batch = all(isinstance(m, _BatchNorm) for name, m in model.named_modules() if name in norms)
        report = swap_norms(ours, "batch")
        swap_norms(grouped, "group", example=example)
    assert set(report) | set(report.left) >= norms
    assert (len(report) + len(report.left), len(report.left)) == (num_norms, num_tokens)
    assert all(re.search("tokens|root-mean-square", reason) for reason in report.left.values())
    assert all(isinstance(ours.get_submodule(name), Norm) for name in report)
    assert list(ours.state_dict()) == list(model.state_dict()) or not only_batch
    with torch.no_grad():
        before, after = output(model, example), output(ours, example)
        assert output(grouped.train(), example).shape == before.shape
    if only_batch:
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * float(before.abs().max()))


def output(model: nn.Module, example: Any) -> Tensor:
    result = model(**example) if isinstance(example, dict) else model(example)
    return result if isinstance(result, Tensor) else result[0]


@pytest.mark.parametrize("name", TIMM)
def test_networks_of_timm(timm: Any, name: str) -> None:
    settings, num_norms, num_tokens = TIMM[name]
    check_swap(timm.create_model(name, num_classes=3, **settings), IMAGES, num_norms, num_tokens)


def test_a_densenet_of_timm(timm: Any) -> None:
    check_swap(small_densenet(timm), IMAGES, 11, 0)


@pytest.mark.parametrize("name", ["BatchNormAct2d", "FrozenBatchNormAct2d", "GroupNormAct", "LayerNormAct2d"])
def test_norm_and_activation_layers_of_timm(timm: Any, name: str) -> None:
    layer = getattr(timm.layers.norm_act, name)(32, act_layer=nn.SiLU)
    scheme, options = {"G": ("group", {"groups": 32}), "L": ("layer", {"over": "channel"})}.get(name[0], ("batch", {}))
    net = nn.Sequential(layer).eval()
    x = torch.randn(2, 32, 4, 4)
    expected = net(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert swap_norms(net, scheme, **options) == ["0"]
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-5)
    assert isinstance(net[0].act, nn.SiLU)


@pytest.mark.parametrize("name", ["EvoNorm2dS0", "FilterResponseNormAct2d", "SplitBatchNorm2d", "RmsNormAct2d"])
def test_norms_of_timm_that_are_another_formula_stay(timm: Any, name: str) -> None:
    build = getattr(timm.layers, name, None) or getattr(timm.layers.norm_act, name)
    net = nn.Sequential(build(32))
    with pytest.warns(UserWarning, match="left 1 of 1"):
        assert swap_norms(net, "group") == []


def small_transformer(name: str, transformers: Any) -> tuple[nn.Module, Any]:
    """A network of that name with a tiny configuration, and an input."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    stages = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
    four = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    settings: dict[str, Any] = {
        "ResNet": stages,
        "RegNet": stages | {"groups_width": 8},
        "MobileNetV2": {"depth_multiplier": 0.25},
        "Bit": {"embedding_size": 32, "hidden_sizes": [32, 64], "depths": [1, 1], "num_groups": 8},
        "ConvNext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
        "PoolFormer": four,
        "Segformer": four | {"num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 16},
        "PatchTST": {
            "num_input_channels": 2, "context_length": 16, "patch_length": 4, "patch_stride": 4, "d_model": 8,
            "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 8,
        },
        "Wav2Vec2": sizes | {
            "conv_dim": (16, 16), "conv_stride": (5, 2), "conv_kernel": (10, 3), "num_feat_extract_layers": 2,
            "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
        },
        "Bert": sizes,
        "Llama": sizes | {"vocab_size": 99},
    }  # fmt: skip
    inputs = {
        "PatchTST": {"past_values": torch.randn(2, 16, 2)},
        "Wav2Vec2": {"input_values": torch.randn(2, 800)},
        "Bert": {"input_ids": TOKENS},
        "Llama": {"input_ids": TOKENS},
    }
    kind = "ForSemanticSegmentation" if name == "Segformer" else "Model"
    config = getattr(transformers, f"{name}Config")(**settings[name])
    return getattr(transformers, f"{name}{kind}")(config), inputs.get(name, {"pixel_values": IMAGES})


@pytest.mark.parametrize(
    "name, num_norms, num_left",
    [
        ("ResNet", 8, 0),
        ("RegNet", 9, 0),
        ("MobileNetV2", 52, 0),
        ("Bit", 7, 0),
        ("ConvNext", 5, 3),
        ("PoolFormer", 8, 0),
        ("Segformer", 20, 19),
        ("PatchTST", 2, 0),
        ("Wav2Vec2", 5, 4),
        ("Bert", 3, 3),
        ("Llama", 3, 3),
    ],
)
def test_networks_of_transformers(name: str, num_norms: int, num_left: int) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    check_swap(*small_transformer(name, transformers), num_norms, num_left)
