"""The networks for images by name. Importing this imports no torch."""

from normlab.registry import Registry

NETWORKS = Registry(
    "network",
    {
        "resnet": "normlab.nn.resnet:ResNet",
        "preact_resnet": "normlab.nn.preact_resnet:PreActResNet",
        "convnext_tiny32": "normlab.nn.convnext:ConvNeXt",
        "sprint": "normlab.nn.sprint:SprintNet",
        "vit_tiny32": "normlab.nn.vit:VisionTransformer",
    },
)

__all__ = ["NETWORKS"]
