"""Do two versions of the program train the same weights? Digests of fixed-seed smoke runs of every task.

python tools/same_bits.py --out before.json            in one checkout
python tools/same_bits.py --against before.json        in the other; exit status 1 and a line for each difference

On one machine, with one thread, a change that moves code must leave every digest as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import normlab

NORMS = ("torch_batch", "batch", "instance", "batch_instance", "layer", "group", "none")
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"image {norm}": ("image", {"norm": norm, "groups": 4 if norm == "group" else None}) for norm in NORMS},
    "image float32, rotated": ("image", {"precision": "float32", "rotation": 10.0, "bn_statistics": "both"}),
    "ner": ("ner", {}),
    "ner without a CRF": ("ner", {"crf": False}),
    "text2sql": ("text2sql", {}),
}


def digests(name: str) -> dict[str, str]:
    """Train one run and return a digest of its weights and one of its scores."""
    task, settings = RUNS[name]
    with tempfile.TemporaryDirectory() as folder:
        run = normlab.train(task, preset="smoke", out=Path(folder) / "run", seed=0, threads=1, **settings)
        weights = (run.path / "checkpoints" / "model.safetensors").read_bytes()
        scores = json.dumps({key: value for key, value in run.result["metrics"].items() if "second" not in key})
    return {"weights": _digest(weights), "scores": _digest(scores.encode())}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def main() -> int:
    """Compute the digests, write them or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--against", type=Path)
    options = parser.parse_args()
    known = json.loads(options.against.read_text(encoding="utf-8")) if options.against else {}
    computed, different = {}, 0
    for name in RUNS:
        computed[name] = digests(name)
        verdict = "" if not known else "same" if known.get(name) == computed[name] else "DIFFERENT"
        different += verdict == "DIFFERENT"
        print(f"{name:<24} {computed[name]['weights']} {computed[name]['scores']} {verdict}", flush=True)
    if options.out:
        options.out.write_text(json.dumps(computed, indent=1) + "\n", encoding="utf-8")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
