"""Normalization schemes, one file each, behind one registry. Importing this imports no torch.

Read in this order: `base.py` (what a scheme is), a scheme such as `group.py`, `core.py` (the arithmetic that schemes
share), `formula.py` (without a kernel), `reference.py` (in plain PyTorch operations), `check.py` (the contract).
`running.py`, `synced.py` and `precise.py` are about the statistics of batch norm. `swap.py` replaces the norms of any
model; `known_layers.py` and `examined_layers.py` recognise them. `own.py` and `own_check.py` are for norms that others
bring.
"""

from typing import Any

from normlab.own_code import is_reference
from normlab.registry import Registry


class NormRegistry(Registry):
    """The schemes by name, and those of one's own by a reference such as `mynorm.py:MyNorm` (`own.py`)."""

    def resolve(self, name: str) -> str:
        """Return the canonical name; a reference is one."""
        return name if is_reference(name) else super().resolve(name)

    def get(self, name: str) -> Any:
        """Return what builds the scheme."""
        if not is_reference(name):
            return super().get(name)
        from normlab.norms.own import own_norm

        return own_norm(name)


NORMS = NormRegistry(
    "norm",
    {
        "torch_batch": "normlab.norms.torch_batch:TorchBatchNorm",
        "batch": "normlab.norms.batch:BatchNorm",
        "instance": "normlab.norms.instance:InstanceNorm",
        "batch_instance": "normlab.norms.batch_instance:BatchInstanceNorm",
        "layer": "normlab.norms.layer:LayerNorm",
        "group": "normlab.norms.group:GroupNorm",
        "none": "normlab.norms.none:NoNorm",
        "rms": "normlab.norms.rms:RMSNorm",
        "rms_pixel": "normlab.norms.rms_pixel:PixelRMSNorm",
        "layer_pixel": "normlab.norms.layer_pixel:PixelLayerNorm",
        "switchable": "normlab.norms.switchable:SwitchableNorm",
        "batch_renorm": "normlab.norms.batch_renorm:BatchRenorm",
        "ghost_batch": "normlab.norms.ghost_batch:GhostBatchNorm",
        "dynamic_tanh": "normlab.norms.dynamic_tanh:DynamicTanh",
        "derf": "normlab.norms.derf:DynamicErf",
        "filter_response": "normlab.norms.filter_response:FilterResponseNorm",
        "evonorm_s0": "normlab.norms.evonorm_s0:EvoNormS0",
        "evonorm_b0": "normlab.norms.evonorm_b0:EvoNormB0",
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
        "rmsnorm": "rms",
        "layernorm2d": "layer_pixel",
        "sn": "switchable",
        "brn": "batch_renorm",
        "gbn": "ghost_batch",
        "dyt": "dynamic_tanh",
        "dynamic_erf": "derf",
        "frn": "filter_response",
        "evonorms0": "evonorm_s0",
        "evonormb0": "evonorm_b0",
    },
)

__all__ = ["NORMS", "NormRegistry"]
