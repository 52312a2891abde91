"""What `result.json` holds: one declaration, from which the engine writes it and `schema` checks it when it is read.

Fields that came later have defaults, so that older results open; `schema_version` says which form a file has.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from normlab.runs.states import RunState
from normlab.runs.tables import Count, Part, Tables

RESULT_SCHEMA = 1  # of result.json, written as "schema"; 0 are the results from before it was

_WRITTEN = [state.value for state in RunState if state is not RunState.WAITING]
_ABSENT_IF_UNKNOWN = ("seconds_per_epoch", "examples_per_second")  # a run without an epoch has no such key


def _written(state: Any) -> RunState:
    if state not in _WRITTEN:
        raise ValueError(f"should be {', '.join(map(repr, _WRITTEN[:-1]))} or {_WRITTEN[-1]!r}")
    return RunState(state)


State = Annotated[RunState, BeforeValidator(_written)]


class Divergence(Part):
    """Where a run diverged."""

    epoch: Count
    step: Count
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The outcome of a run.

    Attributes:
        headline: the metric that the run is known by.
        metrics: "split/name" -> value.
        tables: split -> the tables that the task measured.
        sizes: split -> number of examples.
        schema_version: the form of the file; 0 for results from before there was one.
    """

    state: State
    task: str = ""
    headline: str
    metrics: dict[str, float]
    tables: dict[str, Tables] = field(default_factory=dict)
    diverged: Divergence | None = None
    epochs: Count = 0
    steps: Count = 0
    best_epoch: Count = 0
    stopped_early: bool = False
    parameters: Count = 0
    sizes: dict[str, Count] = field(default_factory=dict)
    config_hash: str = ""
    data_fingerprint: str = ""
    fingerprints: dict[str, str] = field(default_factory=dict)
    precision: str = ""
    device: str = ""
    threads: Count | None = None
    processes: Count = 1
    peak_memory_mib: float | None = None
    seconds: float = 0.0
    seconds_per_epoch: float | None = None
    examples_per_second: float | None = None
    schema_version: Annotated[int, Field(alias="schema", ge=0)] = 0

    def values(self) -> dict[str, Any]:
        """Return what `result.json` holds, without the version of its form, which `RunFolder.finish` adds."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "schema_version"}
        values["state"] = str(self.state)
        values["diverged"] = None if self.diverged is None else self.diverged.model_dump()
        return {name: value for name, value in values.items() if value is not None or name not in _ABSENT_IF_UNKNOWN}
