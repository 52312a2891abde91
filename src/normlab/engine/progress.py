"""Progress of a run: a bar on a terminal, plain lines elsewhere; the same lines go to the log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from normlab.runs import RunFolder

T = TypeVar("T")


class Progress:
    """Reports a run. `quiet` writes to the run's log only."""

    def __init__(self, folder: RunFolder, *, quiet: bool = False) -> None:
        self.folder = folder
        self.quiet = quiet
        self._bars = not quiet and sys.stderr.isatty()

    def say(self, line: str) -> None:
        """Print a line to standard error and into the log."""
        self.folder.log(line)
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def steps(self, batches: Iterable[T], total: int, title: str) -> Iterator[T]:
        """Pass batches through, with a bar where there is a terminal."""
        if not self._bars:
            yield from batches
            return
        from rich.console import Console
        from rich.progress import track

        yield from track(
            batches,
            total=total,
            description=title,
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=4,
        )

    def epoch(self, record: dict[str, Any], epochs: int, headline: str, *, best: bool) -> None:
        """Print an epoch's record in one line, of at most 80 columns with all usual names and numbers."""
        parts = [f"epoch {record['epoch']:>3}/{epochs}", f"lr {record['lr']:.3g}"]
        shown = {"train/online_loss": "loss", headline: headline}
        parts += [f"{title} {_short(record[name])}" for name, title in shown.items() if name in record]
        parts.append(f"{record['seconds']:.1f} s")
        self.say("  ".join(parts) + ("  *" if best else ""))


def _short(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"
