"""Whole networks with and without the compiled kernels: their gradients differ by rounding only.

The other side is a process of its own, because a process decides once whether it uses kernels. Both sides are held
against float64 at the same weights: a kernel that computed something else would be far from it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from normlab.bench.rounding import Tensors, load_steps, relative_difference, steps_of
from normlab.kernels.runtime import build
from normlab.norms import NORMS

STEPS = 4
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    **{norm: ("image", {"norm": norm, "batch_size": 8, "image_size": 16, "limit_train": 40}) for norm in sorted(NORMS)},
    "tagger": ("ner", {"batch_size": 8}),
}
WORKER = """
import json, sys
from pathlib import Path
import torch
from normlab.bench.rounding import save_steps, steps_of
torch.set_num_threads(1)
folder, steps, networks = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
for name, (task, settings) in networks.items():
    save_steps(folder / name, steps_of(task, settings, steps=steps))
"""


@pytest.fixture(scope="module")
def without_kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [name for name in ("norm", "conv", "lstm", "crf") if build.load(name) is None]
    if missing:
        pytest.skip(f"the kernels {', '.join(missing)} are unavailable here: there is nothing to compare")
    folder = tmp_path_factory.mktemp("without")
    words = [sys.executable, "-c", WORKER, str(folder), str(STEPS), json.dumps(NETWORKS)]
    subprocess.run(words, check=True, env={**os.environ, "NORMLAB_KERNELS": "off"})
    return folder


@pytest.mark.parametrize("network", list(NETWORKS))
def test_gradients_of_whole_networks_are_as_near_to_float64_as_without_kernels(
    without_kernels: Path, network: str
) -> None:
    task, settings = NETWORKS[network]
    reference = load_steps(without_kernels / network)
    states: list[Tensors] = [state for state, _ in reference]
    exact = [gradient for _, gradient in steps_of(task, settings, steps=STEPS, given=states, dtype=torch.float64)]
    kernels = [gradient for _, gradient in steps_of(task, settings, steps=STEPS, given=states)]
    assert len(kernels) == len(exact) == len(reference) == STEPS
    # In single steps a unit within a last digit of 0 falls on the other side of its ReLU, and its share of the gradient
    # comes or goes; the step without that shows the rounding. What a kernel got wrong would be wrong in each step.
    rounding = min(relative_difference(plain, true) for (_, plain), true in zip(reference, exact, strict=True))
    with_kernels = min(relative_difference(fast, true) for fast, true in zip(kernels, exact, strict=True))
    assert rounding < 1e-4
    assert with_kernels < 4 * rounding + 1e-6
