"""The subject: one file per normalization scheme behind one registry. Importing this imports no torch."""

from normlab.registry import Registry

NORMS = Registry(
    "norm",
    {
        "torch_batch": "normlab.norms.torch_batch:TorchBatchNorm",
        "batch": "normlab.norms.batch:BatchNorm",
        "instance": "normlab.norms.instance:InstanceNorm",
        "batch_instance": "normlab.norms.batch_instance:BatchInstanceNorm",
        "layer": "normlab.norms.layer:LayerNorm",
        "group": "normlab.norms.group:GroupNorm",
        "none": "normlab.norms.none:NoNorm",
    },
    aliases={
        "torch_bn": "torch_batch",
        "inbuilt": "torch_batch",
        "bn": "batch",
        "in": "instance",
        "bin": "batch_instance",
        "ln": "layer",
        "gn": "group",
        "nn": "none",
    },
)

__all__ = ["NORMS"]
