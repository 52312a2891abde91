"""Statistics of comparison for few paired seeds: pure functions, numbers in, small frozen records out.

Studies of this kind have three to eight seeds, so every choice here is the one that still holds at that size:
Student's t for intervals (simulated coverage stands in `paired`), enumeration instead of approximation
for p-values.
"""

from normlab.studies.statistics.adjusted import Adjusted, adjust
from normlab.studies.statistics.aggregates import interquartile_mean, performance_profile
from normlab.studies.statistics.equivalence import Rope, correlated_t, equivalence_p, rope
from normlab.studies.statistics.folds import CORRECTED, overlap_of, standard_error
from normlab.studies.statistics.intervals import Interval, mean_interval
from normlab.studies.statistics.paired import (
    Comparison,
    bootstrap_interval,
    compare_paired,
    paired_differences,
)
from normlab.studies.statistics.planning import paired_power, seeds_for_margin, seeds_needed
from normlab.studies.statistics.ranks import Ranking, friedman, probability_of_improvement, wilcoxon_holm
from normlab.studies.statistics.significance import McNemar, holm, mcnemar
from normlab.studies.statistics.targets import Deviations, Reached, both_deviations, time_to_target
from normlab.studies.statistics.unpaired import MeanDifference, bootstrap_means, partly_paired, welch

__all__ = [
    "CORRECTED",
    "Adjusted",
    "Comparison",
    "Deviations",
    "Interval",
    "McNemar",
    "MeanDifference",
    "Ranking",
    "Reached",
    "Rope",
    "adjust",
    "bootstrap_interval",
    "bootstrap_means",
    "both_deviations",
    "compare_paired",
    "correlated_t",
    "equivalence_p",
    "friedman",
    "holm",
    "interquartile_mean",
    "mcnemar",
    "mean_interval",
    "overlap_of",
    "paired_differences",
    "paired_power",
    "partly_paired",
    "performance_profile",
    "probability_of_improvement",
    "rope",
    "seeds_for_margin",
    "seeds_needed",
    "standard_error",
    "time_to_target",
    "welch",
    "wilcoxon_holm",
]
