"""The network of a run: one of normlab's own by name, or one that somebody brings (`own_network.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from normlab.acting import missing_condition
from normlab.errors import UserError
from normlab.nn.classifier import ImageClassifier
from normlab.nn.networks import NETWORKS
from normlab.nn.normalizer_free import scale_branches
from normlab.nn.preact_resnet import PreActResNet
from normlab.nn.resnet import ResNet
from normlab.nn.sprint import SMALLEST
from normlab.nn.standardized import standardize_weights
from normlab.norms.options import norm_options
from normlab.own_code import is_reference, what_was_raised
from normlab.tasks.image.config import ImageConfig
from normlab.tasks.image.own_network import build_own_network


def build_network(config: ImageConfig, card: Mapping[str, Any]) -> nn.Module:
    """Make the network for the card's classes and image size.

    Raises: UserError if a network or a norm that is not normlab's cannot be imported or built.
    """
    options = norm_options(
        config.norm,
        groups=config.groups,
        channels_per_group=config.channels_per_group,
        eps=config.eps,
        momentum=config.norm_momentum,
        sync=config.bn_sync or None,
    )
    network = _build(config, len(card["classes"]), card, options)
    if config.weight_standardized != "off":
        standardize_weights(network, scaled=config.weight_standardized == "scaled")
    if config.residual_scale is not None and missing_condition(config, "residual_scale") is None:
        scale_branches(cast(PreActResNet, network), config.residual_scale)
    return network


def _build(config: ImageConfig, classes: int, card: Mapping[str, Any], options: dict[str, Any]) -> nn.Module:
    if is_reference(config.model):
        return build_own_network(config.model, classes, config.norm, options)
    if config.model == "resnet":
        return ResNet(config.n, classes, config.norm, **options)
    network: nn.Module
    if config.model == "preact_resnet":
        network = NETWORKS.create(config.model, config.n, classes, config.norm, **options)
    elif config.model == "sprint":
        if min(card["image_size"]) < SMALLEST:
            height, width = card["image_size"]
            raise UserError(f"sprint: images of {height} x {width}, but it needs at least {SMALLEST}: see --image-size")
        network = NETWORKS.create(config.model, classes, config.norm, views=config.test_views, **options)
    elif config.model == "vit_tiny32":
        size = tuple(card["image_size"])
        network = NETWORKS.create(config.model, classes, config.norm, image_size=size, **options)
    else:
        network = NETWORKS.create(config.model, classes, config.norm, **options)
    return network


def try_network(config: ImageConfig, card: Mapping[str, Any]) -> None:
    """Build the network and run it on two images.

    Raises: UserError if it cannot be built, fails on images of this size, does not answer with one number for each
        class, or has nothing to train.
    """
    with torch.random.fork_rng(devices=[]):
        network = build_network(config, card)
        height, width = card["image_size"]
        classes = len(card["classes"])
        try:
            with torch.no_grad():
                logits = network.eval()(torch.randn(2, 3, height, width))
        except Exception as error:  # whatever a stranger's network raises
            raise UserError(
                f"{config.model}: fails on images of 3 x {height} x {width} ({what_was_raised(error)}): give an "
                "--image-size that it takes, or change it"
            ) from error
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (2, classes):
        raise UserError(
            f"{config.model}: returns {shape} for 2 images, but {(2, classes)} is needed: one number for each of the "
            f"{classes} classes"
        )
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise UserError(f"{config.model}: has no parameter that could be trained")


def features_and_logits(network: nn.Module, images: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return the penultimate features (N, C) and the logits (N, num_classes) of images.

    Of a network that is not normlab's, the features are the input of the linear layer with an output for each class
    that runs last; where there is none, they are the logits.
    """
    if isinstance(network, ImageClassifier):
        features = network.features(images)
        logits: Tensor = network.linear(features)
        return features, logits
    inputs: list[Tensor] = []
    heads = [m for m in network.modules() if isinstance(m, nn.Linear) and m.out_features == num_classes]
    hooks = [head.register_forward_pre_hook(lambda _, given: inputs.append(given[0])) for head in heads]
    try:
        logits = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    is_per_image = bool(inputs) and inputs[-1].dim() == 2 and len(inputs[-1]) == len(images)
    return (inputs[-1] if is_per_image else logits), logits
