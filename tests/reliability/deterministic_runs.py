"""Train a smoke run of each task with `deterministic: true` where nothing may be timed; print a digest of each.

A program of its own: threads, the seed of Python's hashes and what torch was told belong to a process.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import normlab
from normlab.engine import precision
from normlab.kernels.runtime.choice import Choices

TASKS: dict[str, dict[str, Any]] = {
    "image": {"epochs": 1, "limit_train": 256, "precision": "auto"},
    "ner": {"epochs": 1, "layer_norm": "none"},
    "text2sql": {"epochs": 1},
}
_NOT_COMPARED = ("second", "memory")


def refuse(*arguments: object) -> float:
    raise AssertionError("something was timed")


def digests(task: str, folder: Path) -> dict[str, str]:
    run = normlab.train(task, preset="smoke", out=folder / task, deterministic=True, threads=2, **TASKS[task])
    metrics = {key: v for key, v in run.result["metrics"].items() if not any(word in key for word in _NOT_COMPARED)}
    content = {
        "weights": (run.path / "checkpoints" / "model.safetensors").read_bytes(),
        "predictions": b"".join(path.read_bytes() for path in sorted((run.path / "predictions").iterdir())),
        "metrics": json.dumps(metrics, sort_keys=True).encode(),
        "card": (run.path / "card.json").read_bytes(),
    }
    return {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


def main() -> None:
    Choices._measure = refuse  # type: ignore[method-assign]
    precision._measure = refuse
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({task: digests(task, Path(folder)) for task in TASKS}))


if __name__ == "__main__":
    sys.exit(main())
