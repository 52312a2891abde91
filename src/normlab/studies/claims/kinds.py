"""The kinds of claims: one record each, with the fields it needs, what it compares, and when it is true.

A kind is a function from the claim's margin to the region of d in which the claim is true. d is a's value minus b's,
turned so that more is better for a; over time it is the logarithm of the metric's growth in a.

    @claim_kind("better", states="d > margin", needs=("a", "b"))
    def _better(margin: float) -> Region:
        return Region(margin, math.inf)

The reader of study files, the judge, the sentences and the table in `docs/studies.md` take everything from here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from normlab.studies.tables import product

if TYPE_CHECKING:
    from normlab.studies.claims.claim import Claim

Values = dict[str, Any]
AxisValues = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Region:
    """An open interval of d. Inside it a claim is true."""

    low: float
    high: float

    @property
    def thresholds(self) -> list[float]:
        """The bounds that are not infinite."""
        return [bound for bound in (self.low, self.high) if math.isfinite(bound)]

    def contains(self, low: float, high: float) -> bool:
        """True if the whole interval lies inside."""
        return self.low < low and high < self.high

    def excludes(self, low: float, high: float) -> bool:
        """True if the whole interval lies outside, on one side."""
        return high < self.low or low > self.high


Sides = Callable[["Claim", AxisValues], Iterator[tuple[Values, Values]]]


@dataclass(frozen=True)
class ClaimKind:
    """One kind of claim.

    Attributes:
        name: as a study file writes it.
        states: when the claim is true, for messages and documentation.
        needs: the claim's fields that may not be empty.
        region: margin -> the region of d in which the claim is true.
        sides: yields the axis values of a and b for each comparison.
        margin_above: the margin must exceed this; None: any margin from 0 on.
        directed: whether the metric must be known to be better when higher or when lower.
        over_time: the first and the last epoch of `a` are compared; nothing is compared with `b`.
        divergence_refutes: a run that diverges on one side refutes the claim, whatever the other seeds say.
        subject: what a sentence's number describes; {a} and {b} are the names of the sides.
    """

    name: str
    states: str
    needs: tuple[str, ...]
    region: Callable[[float], Region]
    sides: Sides
    margin_above: float | None
    directed: bool
    over_time: bool
    divergence_refutes: bool
    subject: str


KINDS: dict[str, ClaimKind] = {}


def each_a_with_each_b(claim: Claim, axes: AxisValues) -> Iterator[tuple[Values, Values]]:
    """Yield every combination of `a` with every one of `b`."""
    yield from itertools.product(product(claim.a), product(claim.b))


def along_the_axis(claim: Claim, axes: AxisValues) -> Iterator[tuple[Values, Values]]:
    """Yield all pairs of values of the axis `over`; `a` may name some of its values, or values of other axes."""
    axis = claim.over or ""
    for base in product({name: values for name, values in claim.a.items() if name != axis}):
        for one, other in itertools.combinations(claim.a.get(axis, axes[axis]), 2):
            yield {**base, axis: one}, {**base, axis: other}


def each_with_the_next(claim: Claim, axes: AxisValues) -> Iterator[tuple[Values, Values]]:
    """Yield each value of `order` with the one after it."""
    axis = claim.over or ""
    for base in product(claim.a):
        for one, other in itertools.pairwise(claim.order):
            yield {**base, axis: one}, {**base, axis: other}


def claim_kind(
    name: str,
    *,
    states: str,
    needs: tuple[str, ...],
    sides: Sides = each_a_with_each_b,
    margin_above: float | None = None,
    directed: bool = True,
    over_time: bool = False,
    divergence_refutes: bool = False,
    subject: str = "{a} minus {b}",
) -> Callable[[Callable[[float], Region]], Callable[[float], Region]]:
    """Register the decorated function, margin -> region, as a kind of claim; see `ClaimKind` for the arguments.

    Raises: ValueError if the name is taken.
    """

    def register(region: Callable[[float], Region]) -> Callable[[float], Region]:
        if name in KINDS:
            raise ValueError(f"claim kind '{name}' is registered already")
        KINDS[name] = ClaimKind(
            name, states, needs, region, sides, margin_above, directed, over_time, divergence_refutes, subject
        )
        return region

    return register


@claim_kind("equal", states="|d| < margin", needs=("a", "b"), margin_above=0, directed=False, divergence_refutes=True)
def _equal(margin: float) -> Region:
    return Region(-margin, margin)


@claim_kind("better", states="d > margin", needs=("a", "b"))
def _better(margin: float) -> Region:
    return Region(margin, math.inf)


@claim_kind("worse", states="d < -margin", needs=("a", "b"))
def _worse(margin: float) -> Region:
    return Region(-math.inf, -margin)


@claim_kind("at_least", states="d > -margin: better or tied", needs=("a", "b"))
def _at_least(margin: float) -> Region:
    return Region(-margin, math.inf)


@claim_kind(
    "insensitive",
    states="|d| < margin between all values of the axis `over`",
    needs=("over",),
    sides=along_the_axis,
    margin_above=0,
    directed=False,
    divergence_refutes=True,
)
def _insensitive(margin: float) -> Region:
    return Region(-margin, margin)


@claim_kind(
    "ordered",
    states="each value of `order` is better than the next by more than margin",
    needs=("over", "order"),
    sides=each_with_the_next,
)
def _ordered(margin: float) -> Region:
    return Region(margin, math.inf)


@claim_kind("diverges_or_lags", states="a diverges, or d < -margin", needs=("a", "b"))
def _diverges_or_lags(margin: float) -> Region:
    return Region(-math.inf, -margin)


@claim_kind(
    "stable",
    states="no run diverges, and the metric grows less than margin-fold from first to last epoch",
    needs=("a",),
    margin_above=1,
    directed=False,
    over_time=True,
    divergence_refutes=True,
    subject="{a}",
)
def _stable(margin: float) -> Region:
    return Region(-math.inf, math.log(margin))


@claim_kind(
    "spreads",
    states="a diverges, or the metric grows more than margin-fold from first to last epoch",
    needs=("a",),
    margin_above=1,
    directed=False,
    over_time=True,
    subject="{a}",
)
def _spreads(margin: float) -> Region:
    return Region(math.log(margin), math.inf)
