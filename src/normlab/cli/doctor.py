"""What this machine has, and which device, precision and kernels normlab uses on it."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from typing import Any

from normlab.runs.environment import cpu_name, describe_environment
from normlab.runs.memory import freed_memory
from normlab.runs.threads import idle_threads
from normlab.version import __version__

_EXTRAS = {
    "parquet": ("pyarrow", "PIL"),
    "tensorboard": ("tensorboard",),
    "bert": ("transformers",),
    "tune": ("optuna",),
    "ray": ("ray",),
    "playground": ("gradio",),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "databases": ("duckdb", "psycopg"),
}


def examine() -> dict[str, Any]:
    """Return findings as name -> value, plain JSON."""
    import torch

    from normlab.engine.device import available_cores, choose_device
    from normlab.engine.precision import automatic_precision

    environment = describe_environment()
    device = choose_device("auto")
    return {
        "normlab": __version__,
        "python": environment["python"],
        "torch": f"{torch.__version__}{_unused_cuda(torch.__version__, torch.version.cuda, device.type)}",
        "processor": cpu_name(),
        "cores": available_cores(),
        "memory": f"{environment['memory_gib']} GiB",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "precision": "{} ({})".format(*automatic_precision(device)),
        "waiting threads": idle_threads(),
        "freed memory": freed_memory(),
        "compiler": shutil.which(os.environ.get("CXX", "g++")) or "none: no fast kernels, no --compile",
        "kernels": _kernels(),
        "triton": _triton(),
        "cuda graphs": "used by image runs" if device.type == "cuda" else f"none (the device is {device.type})",
        **{f"extra {name}": _extra(name, modules) for name, modules in _EXTRAS.items()},
    }


def _unused_cuda(version: str, cuda: str | None, device: str) -> str:
    """Return what to say of a build for CUDA where no GPU is used; "" if there is nothing to say."""
    if cuda is None or device == "cuda":
        return ""
    build = f"pip install 'torch=={version.partition('+')[0]}+cpu' --index-url {_CPU_BUILDS}"
    return f" (built for CUDA {cuda}, but no GPU is seen; the CPU build saves gigabytes: {build})"


_CPU_BUILDS = "https://download.pytorch.org/whl/cpu"


def _extra(name: str, modules: tuple[str, ...]) -> str:
    """Say whether an extra's packages are there, and else how to get them."""
    missing = [module for module in modules if find_spec(module) is None]
    # The command first: a terminal of 80 columns keeps it on one line, to be copied.
    return f"pip install 'normlab[{name}]' (no {', '.join(missing)})" if missing else "installed"


def _triton() -> str:
    """Say which Triton kernels were measured to be faster here, or why none runs; builds and measures nothing."""
    from normlab.kernels.runtime.gpu import status

    return status()


def _kernels() -> str:
    """Say which fast kernels run here, and why the others do not; builds those that are not built yet."""
    from normlab.kernels.runtime.build import status

    rows = status()
    active = " ".join(row["kernel"] for row in rows if row["active"]) or "none"
    reasons = {row["reason"] for row in rows if not row["active"]}
    return f"{active} ({'; '.join(sorted(reasons))})" if reasons else active
