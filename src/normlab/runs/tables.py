"""The tables of `result.json` that reports know, whatever the task; what else a task records passes unchecked."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Count = Annotated[int, Field(ge=0)]
Number = float | None  # null: was not finite


class Part(BaseModel):
    """A mapping of which the named keys are checked."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False, protected_namespaces=())


class _Scores(Part):
    precision: float
    recall: float
    f1: float
    support: Count


class _Bin(Part):
    confidence: float
    accuracy: float
    count: Count


class _TaggedSentence(Part):
    words: Annotated[list[str], Field(min_length=1)]
    gold: list[str]
    found: list[str]
    loss: float
    sentence: int = 0

    @field_validator("gold", "found")
    @classmethod
    def _tag_per_word(cls, tags: list[str], info: ValidationInfo) -> list[str]:
        if len(tags) != len(info.data.get("words", tags)):
            raise ValueError("needs a tag for each word")
        return tags


class _PartialMatch(Part):
    accuracy: float
    recall: float
    f1: float


class _Level(Part):
    count: Count
    exact_match: float
    execution: float | None = None
    execution_sound: float | None = None
    empty_matches: Count | None = None
    partial: dict[str, _PartialMatch] = Field({})


class _SqlScores(_Level):
    count: Count = 0
    exact_match: float = 0.0
    valid: float | None = None
    timeouts: Count | None = None
    levels: dict[str, _Level]
    databases: dict[str, _Level] = Field({})
    notes: list[str] = Field([])


class _Hypothesis(Part):
    score: float
    sql: str


class _Example(Part):
    question: str
    db_id: str
    gold: str
    prediction: str
    exact: bool
    executed: bool | None = None
    hardness: str | None = None
    error: str | None = None
    linked_tables: list[str] = Field([])
    linked_columns: list[str] = Field([])
    alternatives: list[_Hypothesis] = Field([])
    rows: list[list[Any]] | None = None
    gold_rows: list[list[Any]] | None = None
    values: list[Any] = Field([])


class _Skipped(Part):
    count: Count = 0


class _UnknownValues(Part):
    questions: Count = 0


class Tables(Part):
    """The tables that reports know, whatever the task."""

    confusion: list[list[Count]] | None = None
    layers: dict[str, dict[str, Number | list[Number]]] | None = None
    entities: dict[str, dict[str, _Scores]] | None = None
    reliability: list[_Bin] | None = None
    worst: list[_TaggedSentence] | None = None
    scores: _SqlScores | None = None
    examples: list[_Example] | None = None
    skipped: _Skipped | None = None
    unknown_values: _UnknownValues | None = None
    nearest: dict[str, float] | None = None
    leakage: str | None = None

    @field_validator("confusion")
    @classmethod
    def _square(cls, rows: list[list[int]] | None) -> list[list[int]] | None:
        if rows is not None and any(len(row) != len(rows) for row in rows):
            raise ValueError("needs as many columns as rows")
        return rows
