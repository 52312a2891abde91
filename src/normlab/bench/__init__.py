"""Benchmarks: each part beside what one would take instead, and beside what the machine could do at most.

A benchmark is a function from `Settings` to rows. Baseline and own code run in turn in one process, so that whatever
else the machine does meets both; a row holds the median of the rounds' ratios with its quartiles.
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
