"""Statistics of comparison for few paired seeds: pure functions, numbers in, small frozen records out.

Studies of this kind have three to eight seeds, so every choice here is the one that still holds at that size:
Student's t for intervals (simulated coverage stands in `paired`), enumeration instead of approximation
for p-values.
"""

from normlab.studies.statistics.adjusted import Adjusted, adjust
from normlab.studies.statistics.intervals import Interval, mean_interval
from normlab.studies.statistics.paired import (
    Comparison,
    bootstrap_interval,
    compare_paired,
    paired_differences,
)
from normlab.studies.statistics.planning import seeds_needed
from normlab.studies.statistics.ranks import Ranking, friedman, probability_of_improvement
from normlab.studies.statistics.significance import McNemar, holm, mcnemar

__all__ = [
    "Adjusted",
    "Comparison",
    "Interval",
    "McNemar",
    "Ranking",
    "adjust",
    "bootstrap_interval",
    "compare_paired",
    "friedman",
    "holm",
    "mcnemar",
    "mean_interval",
    "paired_differences",
    "probability_of_improvement",
    "seeds_needed",
]
