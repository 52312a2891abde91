"""Where a run stands: the one list of states. A state is a string, as `status.json` and `result.json` hold it."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """The state of a run, or of a cell of a study."""

    WAITING = "waiting"  # a planned cell without a run folder; no file says so
    CREATED = "created"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"
    DIVERGED = "diverged"
    PRUNED = "pruned"

    @property
    def has_result(self) -> bool:
        """True if a run in this state wrote `result.json`."""
        return self in (RunState.FINISHED, RunState.DIVERGED, RunState.PRUNED)

    @property
    def is_over(self) -> bool:
        """True if training came to an end, with a result or with an error."""
        return self.has_result or self is RunState.FAILED
