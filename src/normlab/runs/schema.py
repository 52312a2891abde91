"""What the JSON files of a run folder and of a study hold, checked when they are read: text is no number.

Only what some reader relies on is checked. A key that an older version did not write may be missing, and what a newer
one adds passes; a file of a newer *schema* is refused, because known keys may then mean something else.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, Field, ValidationError, create_model

from normlab.errors import UserError, shortened, with_value
from normlab.runs.result import RESULT_SCHEMA, RunResult, State
from normlab.runs.tables import Count, Number, Part


class Record(dict[str, Any]):
    """The content of a file; asking for a missing key raises a `UserError` that names the file."""

    def __init__(self, values: dict[str, Any], path: object) -> None:
        super().__init__(values)
        self._path = str(path)

    def __missing__(self, key: str) -> Any:
        raise UserError(f"{self._path}: key '{key}' is missing: {_FIX}")

    def __reduce__(self) -> Any:  # copies and other processes see a plain dictionary
        return dict, (dict(self),)


_FIX = "the file was edited or damaged; restore it, or train again"


def _model_of(record: type) -> type[Part]:
    """Return the model that checks a mapping for the fields of a dataclass."""
    types = get_type_hints(record, include_extras=True)
    optional = {each.name for each in fields(record) if (each.default, each.default_factory) != (MISSING, MISSING)}
    declared: dict[str, Any] = {name: (kind, None if name in optional else ...) for name, kind in types.items()}
    return create_model(record.__name__, __base__=Part, **declared)


Result = _model_of(RunResult)

_Pair = Annotated[list[Count], Field(min_length=2, max_length=2)]


class _Twofold(Part):
    forms: Annotated[list[str], Field(min_length=2, max_length=2)]
    counts: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)]
    left: dict[str, _Pair]
    right: dict[str, _Pair]


class Case(Part):
    """What a tagger's card holds of how words are written: see `data/tagging/case_table.py`."""

    spellings: dict[str, str]
    lower: list[str]
    twofold: dict[str, _Twofold]
    capital_endings: dict[str, bool]
    capital_start: bool


class Card(Part):
    """card.json: what the engine and reports read of it; the rest is the task's."""

    fingerprint: str = ""
    fingerprints: dict[str, str] = Field({})
    precision: str = ""
    deterministic: dict[str, Count] = Field({})
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
    case: Case | None = None


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


def checked(value: Any, kind: type[BaseModel], where: str, fix: str = _FIX) -> Record:
    """Return what was read, if it is what that file holds.

    Args:
        kind: the model that describes the file.
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
    return f"key {key} {with_value(wanted, problem['input'])}"


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
