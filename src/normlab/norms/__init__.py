"""Normalization schemes, one file each, behind one registry. Importing this imports no torch.

Read in this order: `base.py` (what a scheme is), a scheme such as `group.py`, `core.py` (the arithmetic that schemes
share), `reference.py` (the same in plain PyTorch operations), `check.py` (the contract). `running.py`, `synced.py` and
`precise.py` are about the statistics of batch norm. `swap.py` replaces the norms of any model; `known_layers.py` and
`examined_layers.py` recognise them.
"""

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
