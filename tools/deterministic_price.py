"""What `deterministic: true` costs: each task trained with and without it, in turn, in one process.

    python tools/deterministic_price.py [--rounds 5] [--threads 1]

Prints processor seconds of the training steps (the median of the rounds) and their ratio. Both trainings compute in the
same precision, so that the price is that of the algorithms and of the kernels that are not chosen by time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import normlab

TASKS: dict[str, dict[str, Any]] = {
    "image": {"epochs": 2, "distributions": "off", "train_metrics": "end"},
    "image, bfloat16": {"epochs": 2, "distributions": "off", "train_metrics": "end", "precision": "bfloat16"},
    "ner": {"epochs": 4, "train_metrics": "end"},
    "text2sql": {"epochs": 4, "train_metrics": "end"},
}


def seconds(name: str, deterministic: bool, threads: int) -> float:
    """Return the processor seconds of one training."""
    settings = {"precision": "float32", **TASKS[name]}
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        normlab.train(
            name.partition(",")[0],
            preset="smoke",
            out=Path(folder) / "run",
            threads=threads,
            deterministic=deterministic,
            **settings,
        )
        return time.process_time() - begun


def main() -> None:
    """Print a row for each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    for name in TASKS:
        rounds = [
            [seconds(name, wanted, options.threads) for wanted in (False, True)] for _ in range(options.rounds + 1)
        ]
        plain, alike = (statistics.median(column) for column in zip(*rounds[1:], strict=True))  # the first warms up
        print(f"{name:<16} {plain:6.2f} s {alike:6.2f} s   ratio {alike / plain:.3f}", flush=True)


if __name__ == "__main__":
    main()
