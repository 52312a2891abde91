"""What a benchmark yields: rows of plain values, each with its goal and its share of the machine's limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from normlab.bench.limits import Floor
from normlab.bench.timing import Comparison, Spread


@dataclass(frozen=True)
class Goal:
    """A bound that a row's value should keep; one of the two is given."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        """Whether the value keeps the bound."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        return f">= {self.at_least:,g}" if self.at_least is not None else f"<= {self.at_most:,g}"


@dataclass(frozen=True)
class Row:
    """One measured thing.

    Attributes:
        what: it, with its sizes.
        against: what it is compared with; None where there is nothing.
        unit: "times as fast" (baseline's time / own), "times the time" (own / baseline), or a unit, e.g. "words/s".
        value: in that unit, the median; None where it could not be measured, and `note` says why.
        goal: the bound that `value` should keep.
        own_ms, baseline_ms: medians, milliseconds a call.
        floor: the least time that the machine allows, where the work was counted.
        group: rows of one group may be summed up in one line.
        torchs: the baseline is torch's own operation for the same thing, which must not be faster (`SLOWEST`).
    """

    what: str
    against: str | None
    unit: str
    value: Spread | None
    goal: Goal | None = None
    own_ms: float | None = None
    baseline_ms: float | None = None
    floor: Floor | None = None
    group: str = ""
    torchs: bool = False
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def as_values(self) -> dict[str, Any]:
        """Return plain JSON values, with the verdict on the goal and the share of the limit."""
        values = asdict(self)
        values["value"], values["low"], values["high"] = self.value or (None, None, None)
        values["goal"] = str(self.goal) if self.goal else None
        values["met"] = self.goal.met(self.value.median) if self.goal and self.value else None
        values["limit"] = values.pop("floor")
        values["share_of_limit"] = None
        if self.floor is not None and self.own_ms:
            values["share_of_limit"] = self.floor.seconds * 1e3 / self.own_ms
        return values


FASTER, COST = "times as fast", "times the time"


def faster(what: str, against: str, comparison: Comparison, **more: Any) -> Row:
    """Return a row that says how many times as fast as the baseline the own code is."""
    return Row(what, against, FASTER, comparison.speedup, **_times(comparison), **more)


def cost(what: str, against: str, comparison: Comparison, **more: Any) -> Row:
    """Return a row that says how many times the baseline's time the own code takes."""
    return Row(what, against, COST, comparison.cost, **_times(comparison), **more)


def rate(what: str, unit: str, seconds: Spread, amount: float, **more: Any) -> Row:
    """Return a row of so much work a second."""
    return Row(what, None, unit, seconds.per(amount), own_ms=seconds.median * 1e3, **more)


def missing(what: str, against: str, why: str, goal: Goal | None = None) -> Row:
    """Return the row of a comparison that could not be made."""
    return Row(what, against, FASTER, None, goal, note=why)


def _times(comparison: Comparison) -> dict[str, Any]:
    return {"own_ms": comparison.own.median * 1e3, "baseline_ms": comparison.baseline.median * 1e3}
