"""`deterministic: true`: nothing that a run computes depends on a measurement, or on the order in which threads end.

torch is told to use deterministic algorithms only (an operation that has none raises a RuntimeError that names it), own
kernels are used wherever they take the input instead of being timed against torch's, and `precision: auto` is decided
by the kind of device. All three belong to the process: the run whose step is due sets them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from normlab.kernels.runtime import contest
from normlab.kernels.runtime.choice import fix_choices
from normlab.plurals import plural
from normlab.runs import RunFolder
from normlab.train_config import TrainConfig

# Whether this module has switched it on, and what the program itself had asked torch for before.
_state = {"on": False, "before": False}


def compute_alike(wanted: bool) -> None:
    """Let this process compute deterministically from now on, or as it did before. Cheap if nothing changes."""
    if wanted == _state["on"]:
        return
    if wanted:
        _state["before"] = torch.are_deterministic_algorithms_enabled()
        # cuBLAS reads it when its first handle is made; without it torch refuses matrix products on a GPU.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    _state["on"] = wanted
    torch.use_deterministic_algorithms(wanted or _state["before"])
    fix_choices(wanted)
    contest.forget_choices()


def recorded_threads(config: TrainConfig, folder: RunFolder, say: Callable[[str], None]) -> dict[str, Any]:
    """Return what a run's card says of a deterministic run, {} for another; the number of threads is part of it.

    A run that goes on with another number of threads is told that its bits will be others.
    """
    if not config.deterministic:
        return {}
    threads = torch.get_num_threads()
    begun = folder.card().get("deterministic", {}).get("threads", threads)
    if begun != threads:
        say(f"deterministic: begun with {plural(begun, 'thread')}, these are {threads}: the bits will be others")
    return {"deterministic": {"threads": begun}}
