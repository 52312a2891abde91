"""Lesson 2: two schemes, one luck.

Under one seed, two schemes start from the same convolution weights and see the same images, crops and order. What
differs between the two runs is the scheme, so their difference says something that two separate runs do not.
Run it: `python examples/02_a_paired_comparison.py` (seconds)
"""

import tempfile
from pathlib import Path

import normlab

with tempfile.TemporaryDirectory() as folder:
    for seed in (0, 1):
        accuracy = {}
        for norm in ("batch", "none"):
            out = Path(folder) / f"{norm}-{seed}"
            run = normlab.train("image", preset="smoke", norm=norm, seed=seed, epochs=4, limit_train=400, out=out)
            accuracy[norm] = run.result["metrics"]["test/accuracy"]
        difference = accuracy["batch"] - accuracy["none"]
        print(f"seed {seed}: batch {accuracy['batch']:.3f}  none {accuracy['none']:.3f}  difference {difference:+.3f}")
