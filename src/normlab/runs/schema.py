"""What the JSON files of a run folder and of a study hold, checked when they are read: text is no number.

Only what some reader relies on is checked. A key that an older version did not write may be missing, and what a newer
one adds passes; a file of a newer *schema* is refused, because known keys may then mean something else.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from normlab.errors import UserError, shortened
from normlab.runs.states import RunState
from normlab.runs.tables import Count, Number, Part, Tables

RESULT_SCHEMA = 1  # of result.json, written as "schema"; 0 are the results from before it was


class Record(dict[str, Any]):
    """The content of a file; a key that is asked for and missing is told with the file's name."""

    def __init__(self, values: dict[str, Any], path: object) -> None:
        super().__init__(values)
        self._path = str(path)

    def __missing__(self, key: str) -> Any:
        raise UserError(f"{self._path}: key '{key}' is missing: {_FIX}")

    def __reduce__(self) -> Any:  # copies and other processes see a plain dictionary
        return dict, (dict(self),)


_FIX = "the file was edited or damaged; restore it, or train again"


_WRITTEN = [state.value for state in RunState if state is not RunState.WAITING]


def _written(state: Any) -> RunState:
    if state not in _WRITTEN:
        raise ValueError(f"should be {', '.join(map(repr, _WRITTEN[:-1]))} or {_WRITTEN[-1]!r}")
    return RunState(state)


State = Annotated[RunState, BeforeValidator(_written)]


class Diverged(Part):
    """Where a run diverged."""

    epoch: Count
    step: Count
    reason: str


class Result(Part):
    """result.json."""

    state: State
    headline: str
    metrics: dict[str, float]
    schema_version: Annotated[int, Field(alias="schema", ge=0)] = 0
    task: str = ""
    tables: dict[str, Tables] = Field({})
    diverged: Diverged | None = None
    epochs: Count = 0
    steps: Count = 0
    best_epoch: Count = 0
    stopped_early: bool = False
    parameters: Count = 0
    sizes: dict[str, Count] = Field({})
    config_hash: str = ""
    data_fingerprint: str = ""
    fingerprints: dict[str, str] = Field({})
    precision: str = ""
    device: str = ""
    threads: Count | None = None
    processes: Count = 1
    peak_memory_mib: float | None = None
    seconds: float = 0.0
    seconds_per_epoch: float | None = None
    examples_per_second: float | None = None


class Card(Part):
    """card.json: what the engine and reports read of it; the rest is the task's."""

    fingerprint: str = ""
    fingerprints: dict[str, str] = Field({})
    precision: str = ""
    notes: list[str] = Field([])
    classes: list[str] = Field([])
    file_classes: list[str] | None = None
    image_size: list[Count] | Count | None = None
    mean: list[float] = Field([])
    std: list[float] = Field([])
    embedding_dim: Count | None = None
    words: list[str] = Field([])
    characters: list[str] = Field([])
    columns: list[str] | None = None
    without_cells: list[str] = Field([])
    schemas: list[dict[str, Any]] = Field([])


class Environment(Part):
    """environment.json."""

    python: str = ""
    platform: str = ""
    cpu: str = ""
    cores: Count | None = None
    memory_gib: float | None = None
    packages: dict[str, str] = Field({})
    commit: str | None = None
    command: str = ""


class Status(Part):
    """status.json."""

    state: State
    time: float = 0.0
    host: str = ""
    pid: int = 0
    error: str = ""


class EpochOnly(Part):
    """A line of either log as far as resuming needs it."""

    epoch: Count


class EpochRecord(EpochOnly):
    """A line of metrics.jsonl: the epoch, and numbers by name."""

    __pydantic_extra__: dict[str, Number]

    step: Count = 0


class LayersRecord(EpochOnly):
    """A line of layers.jsonl."""

    layers: dict[str, dict[str, Number | list[Number]]]


Kind = TypeVar("Kind", bound=BaseModel)


def checked(value: Any, kind: type[Kind], where: str, fix: str = _FIX) -> Record:
    """Return what was read, if it is what that file holds.

    Args:
        where: file, or file:line, named in an error.
    Raises: UserError naming the first wrong key.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object, {{...}}, found {shortened(value)}: {fix}")
    if kind is Result and isinstance(version := value.get("schema", 0), int) and version > RESULT_SCHEMA:
        raise UserError(f"{where}: written by a newer normlab (schema {version}): update normlab to read it")
    try:
        kind.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{where}: {_explained(error)}: {fix}") from None
    return Record(value, where)


def _explained(error: ValidationError) -> str:
    problem = error.errors()[0]
    if not problem["loc"]:  # of the whole
        return problem["msg"].removeprefix("Value error, ")
    *outer, name = map(str, problem["loc"])
    keys = outer if outer and name in _BRANCHES else [*outer, name]  # pydantic names the branch of a union too
    key = shortened(".".join(keys))
    if problem["type"] == "missing":
        return f"key {key} is missing"
    wanted = _WANTED.get(problem["type"], problem["msg"].removeprefix("Value error, ").removeprefix("Input "))
    return f"key {key} {wanted}, got {shortened(problem['input'])}"


_BRANCHES = ("float", "int", "list[int]", "list[nullable[float]]", "list[union[float,none]]")
_WANTED = {
    "string_type": "should be text",
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false",
    "list_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
    "greater_than_equal": "should not be negative",
}
