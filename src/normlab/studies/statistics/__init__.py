"""Statistics of comparison for few paired seeds: pure functions, numbers in, small frozen records out.

Studies of this kind have three to eight seeds, so every choice here is the one that still holds at that size:
Student's t for intervals (simulated coverage stands in `paired`), enumeration instead of approximation
for p-values.
"""

from normlab.studies.statistics.intervals import Interval, mean_interval
from normlab.studies.statistics.paired import Comparison, compare_paired

__all__ = ["Comparison", "Interval", "compare_paired", "mean_interval"]
