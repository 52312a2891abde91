"""Description of the machine that a benchmark ran on."""

from __future__ import annotations

import os
from typing import Any

import torch

from normlab.bench.timing import Settings
from normlab.engine.device import available_cores
from normlab.kernels.runtime.build import status
from normlab.runs.environment import cpu_name, package_version
from normlab.runs.memory import freed_memory
from normlab.runs.threads import idle_threads


def describe_machine(settings: Settings) -> dict[str, Any]:
    """Return processor, cores, threads, versions, load and kernels, as plain JSON values."""
    return {
        "cpu": cpu_name(),
        "instructions": instructions(),
        "cores": available_cores(),
        "threads": settings.threads,
        "clock": settings.clock,
        "rounds": settings.rounds,
        "torch": torch.__version__,
        "normlab": package_version("normlab"),
        "load_average": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "idle_threads": idle_threads(),
        "freed_memory": freed_memory(),
        "kernels": [row["kernel"] for row in status() if row["active"]],
    }


def instructions() -> str:
    """Return the widest vector instructions of this CPU that torch and the kernels use, and whether it has bfloat16."""
    has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    width = "AVX-512" if has.get("avx512_f") else "AVX2" if has.get("avx2") else torch.backends.cpu.get_cpu_capability()
    if has.get("amx_bf16"):
        return f"{width}, AMX"
    return f"{width}, {'' if has.get('avx512_bf16') else 'no '}bfloat16 products"
