"""What a user says about a file of results, where its own names do not say it: the flags of `normlab report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """How results of another program are to be read; what is empty is detected.

    Attributes:
        variant: columns (or parameters) whose values make the variants.
        seed: the column of the seeds.
        step: the column that curves run over.
        metrics: the columns that are metrics; others are then none.
        headline: the metric that decides.
        higher, lower: metrics of which higher, or lower, values are better.
        percent: metrics that are percentages where their numbers do not tell.
        metric_column, value_column: of a long form, where a row has one metric's name and its value.
        claims: a YAML file with a list `claims`.
        unpaired: the runs have no seeds, or seeds that mean nothing: each run has one of its own.
    """

    variant: tuple[str, ...] = ()
    seed: str = ""
    step: str = ""
    metrics: tuple[str, ...] = ()
    headline: str = ""
    higher: tuple[str, ...] = ()
    lower: tuple[str, ...] = ()
    percent: tuple[str, ...] = ()
    metric_column: str = ""
    value_column: str = ""
    claims: Path | None = None
    unpaired: bool = False

    @property
    def anything(self) -> bool:
        """True if the user said anything."""
        return self != Asked()
