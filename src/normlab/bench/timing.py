"""Timing two implementations in turn, and comparing the times with pure functions."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from normlab.bench.apart import Apart

# A tie, with some room for the clock: a speedup below it means that the baseline is faster.
SLOWEST = 0.97
Step = Callable[[], object] | Apart
Work = Callable[[], int] | Apart  # a call returns how much it has done


@dataclass(frozen=True)
class Settings:
    """How a benchmark is run.

    Attributes:
        threads: of torch, in this process.
        rounds: how often each pair is timed.
        quick: the smallest sizes and a part of the rows: does it run at all?
        corpus, glove: tagged sentences and word vectors of `ner`; None: made-up ones.
        spider: folder with databases and questions of `sql`; None: made-up ones.
    """

    threads: int = 1
    rounds: int = 7
    quick: bool = False
    corpus: Path | None = None
    glove: Path | None = None
    spider: Path | None = None

    @property
    def clock(self) -> str:
        """One thread is timed by CPU seconds, which other processes do not affect; several by the wall clock."""
        return "cpu" if self.threads == 1 else "wall"

    def seconds(self) -> float:
        """Read the clock."""
        return time.process_time() if self.clock == "cpu" else time.perf_counter()


class Spread(NamedTuple):
    """A median with its quartiles."""

    median: float
    low: float
    high: float

    def per(self, amount: float) -> Spread:
        """Return the rates of so much work in these seconds: the highest speed belongs to the lowest time."""
        return Spread(amount / self.median, amount / self.high, amount / self.low)


class Comparison(NamedTuple):
    """Seconds per call of both sides, and the spread of the rounds' ratios baseline / own: above 1, own is faster."""

    baseline: Spread
    own: Spread
    speedup: Spread

    @property
    def cost(self) -> Spread:
        """The ratios own / baseline."""
        return self.speedup.per(1.0)


def spread(values: Sequence[float]) -> Spread:
    """Return median and quartiles; of a single value, that value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def judge(pairs: Sequence[tuple[float, float]]) -> Comparison:
    """Compare (baseline, own) seconds, one pair a round. The ratio is taken within a round, then the median."""
    baseline, ours = zip(*pairs, strict=True)
    return Comparison(spread(baseline), spread(ours), spread([a / b for a, b in pairs]))


def compare(
    baseline: Step, own: Step, settings: Settings, *, at_least: float = 5e-3, expected: float = 0.0
) -> Comparison:
    """Time both in turn, each side for at least so many seconds a round.

    Args:
        expected: a lower speedup gets three times the rounds, all of which count: that it is low should not be an
            accident of a few rounds on a busy machine.
    """
    repeats = [_repeats(step, settings, at_least) for step in (baseline, own)]

    def timed(rounds: int) -> list[tuple[float, float]]:
        return [(_seconds(baseline, repeats[0], settings), _seconds(own, repeats[1], settings)) for _ in range(rounds)]

    pairs = timed(settings.rounds)
    if judge(pairs).speedup.median < expected:
        pairs += timed(2 * settings.rounds)
    return judge(pairs)


def compare_work(baseline: Work, own: Work, settings: Settings) -> Comparison:
    """Time both in turn, in seconds per unit of the work that each call says it has done."""
    _per_unit(baseline, settings), _per_unit(own, settings)
    return judge([(_per_unit(baseline, settings), _per_unit(own, settings)) for _ in range(settings.rounds)])


def measure(step: Step, settings: Settings, *, at_least: float = 5e-3) -> Spread:
    """Return the seconds per call of one thing."""
    repeat = _repeats(step, settings, at_least)
    return spread([_seconds(step, repeat, settings) for _ in range(settings.rounds)])


def _repeats(step: Step, settings: Settings, at_least: float) -> int:
    _seconds(step, 1, settings)  # a first call allocates and compiles
    return max(1, int(at_least / max(_seconds(step, 1, settings), 1e-6)))


def _seconds(step: Step, repeat: int, settings: Settings) -> float:
    if isinstance(step, Apart):
        return step.timed(repeat)[0] / repeat
    start = settings.seconds()
    for _ in range(repeat):
        step()
    return (settings.seconds() - start) / repeat


def _per_unit(work: Work, settings: Settings) -> float:
    if isinstance(work, Apart):
        seconds, done = work.timed(1)
        return seconds / done
    start = settings.seconds()
    done = work()
    return (settings.seconds() - start) / done
