"""Benchmarks: the speed of each part, compared with the usual alternative and with the machine's limit.

A benchmark is a function from `Settings` to rows. Baseline and own code run in turn in one process, so that other
load affects both; a row holds the median of the rounds' ratios with its quartiles.
"""

from normlab.registry import Registry

BENCHES = Registry(
    "benchmark",
    {
        "norms": "normlab.bench.norms:rows",
        "image": "normlab.bench.image:rows",
        "ner": "normlab.bench.ner:rows",
        "sql": "normlab.bench.sql:rows",
    },
)

__all__ = ["BENCHES"]
