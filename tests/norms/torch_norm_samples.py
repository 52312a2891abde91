"""Save the samples on which torch tests its own norms: `python torch_norm_samples.py FILE`.

Run in a process of its own, as importing torch's internal test tools changes global settings.
"""

from __future__ import annotations

import sys
import warnings

import torch

FUNCTIONS = ("batch_norm", "group_norm", "instance_norm", "layer_norm")
MODULES = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d",
           "InstanceNorm3d", "LayerNorm")  # fmt: skip


def plain(value: object) -> object:
    """Return a value of types that `torch.load` reads without unpickling classes."""
    return tuple(value) if isinstance(value, torch.Size) else value


def main(path: str) -> None:
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db

    functions = [
        (op.name.split(".")[-1], sample.input, [plain(a) for a in sample.args], dict(sample.kwargs))
        for op in op_db
        if op.name.split(".")[-1] in FUNCTIONS
        for sample in op.sample_inputs("cpu", torch.float64, requires_grad=False)
    ]
    modules = [
        (info.module_cls.__name__, list(made.constructor_input.args), made.constructor_input.kwargs, *inputs.args)
        for info in module_db
        if info.module_cls.__name__ in MODULES
        for made in info.module_inputs_func(info, "cpu", torch.float64, False, True)
        if (inputs := made.forward_input) is not None
    ]
    torch.save({"functions": functions, "modules": modules}, path)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
