"""`python tools/kernel_rounding.py [--steps 20] [--seeds 12]`: training with and without the compiled kernels.

First the gradients of whole networks over the first steps of a run: with the kernels, without them, and in float64, at
the same weights on the same batches. Then the distribution of the final scores of short runs over seeds; two threads
instead of one, which is another order of summation and nothing else, show what rounding alone does to them. Prints the
two tables of docs/reproducibility.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from normlab.bench.rounding import Tensors, load_steps, relative_difference
from normlab.norms import NORMS
from normlab.studies.statistics import compare_paired

SMALL = {"batch_size": 8, "image_size": 16}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    **{norm: ("image", {"norm": norm, **SMALL}) for norm in sorted(NORMS)},
    "tagger": ("ner", {}),
}
RUNS: dict[str, tuple[str, dict[str, Any], str]] = {
    "batch": ("image", {"norm": "batch"}, "test/accuracy"),
    "group": ("image", {"norm": "group"}, "test/accuracy"),
    "tagger": ("ner", {}, "test/micro_f1"),
}
SCORES = """
import json, sys, tempfile
from pathlib import Path
import normlab
seeds, threads, runs = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
scores = {name: [] for name in runs}
with tempfile.TemporaryDirectory() as folder:
    for name, (task, settings, metric) in runs.items():
        for seed in range(seeds):
            out = Path(folder, f"{name}-{seed}")
            run = normlab.train(task, out=out, preset="smoke", seed=seed, threads=threads, **settings)
            scores[name].append(run.result["metrics"][metric])
print(json.dumps(scores))
"""


def gradients(folder: Path, steps: int) -> None:
    """Print how far each side's gradients are from float64's: the median and the largest over the steps."""
    print("| network | without kernels: median, largest | with kernels: median, largest | with against without |")
    print("|---|---:|---:|---:|")
    for name, (task, settings) in NETWORKS.items():
        gradients: dict[str, list[Tensors]] = {}
        for side, kernels, dtype in (("off", "off", "float32"), ("exact", "off", "float64"), ("on", "on", "float32")):
            out = folder / f"{name}-{side}"
            words = ["-m", "normlab.bench.rounding", task, str(out), "--settings", json.dumps(settings)]
            words += ["--steps", str(steps), "--dtype", dtype]
            if side != "off":
                words += ["--given", str(folder / f"{name}-off")]
            _python(words, kernels)
            gradients[side] = [gradient for _, gradient in load_steps(out)]
        cells = [
            _median_and_largest(
                [relative_difference(a, b) for a, b in zip(gradients[one], gradients[other], strict=True)]
            )
            for one, other in (("off", "exact"), ("on", "exact"), ("on", "off"))
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def scores(seeds: int) -> None:
    """Print final scores over seeds, and the paired differences that kernels and, alone, another thread count make."""
    sides = {"with": ("on", 1), "without": ("off", 1), "two threads": ("off", 2)}
    accuracies = {
        name: json.loads(_python(["-c", SCORES, str(seeds), str(threads), json.dumps(RUNS)], kernels))
        for name, (kernels, threads) in sides.items()
    }
    print("| run | with kernels | without | without, 2 threads | with - without | 2 threads - 1 thread |")
    print("|---|---:|---:|---:|---:|---:|")
    for run in RUNS:
        columns = [f"{_percent(accuracies[side][run])}" for side in sides]
        pairs = (("with", "without"), ("two threads", "without"))
        columns += [_difference(accuracies[one][run], accuracies[other][run]) for one, other in pairs]
        print(f"| {run} | {' | '.join(columns)} |", flush=True)


def _python(words: list[str], kernels: str) -> str:
    environment = {**os.environ, "NORMLAB_KERNELS": "off" if kernels == "off" else "own"}
    return subprocess.run(
        [sys.executable, *words], check=True, env=environment, stdout=subprocess.PIPE, text=True
    ).stdout


def _median_and_largest(values: list[float]) -> str:
    return f"{statistics.median(values):.1e}, {max(values):.1e}"


def _percent(values: list[float]) -> str:
    return f"{100 * statistics.fmean(values):.2f} ± {100 * statistics.stdev(values):.2f}"


def _difference(a: list[float], b: list[float]) -> str:
    paired = compare_paired(a, b)
    mean, low, high = (
        100 * (value or 0.0) for value in (paired.difference.mean, paired.difference.low, paired.difference.high)
    )
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}), p {paired.p_value:.2f}"


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20, help="of each network's gradients; 0: leave them out [20]")
    parser.add_argument("--seeds", type=int, default=12, help="of each short run; 0: leave them out [12]")
    options = parser.parse_args()
    if options.steps:
        with tempfile.TemporaryDirectory() as folder:
            gradients(Path(folder), options.steps)
    if options.seeds:
        print(flush=True)
        scores(options.seeds)


if __name__ == "__main__":
    main()
