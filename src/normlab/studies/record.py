"""What a study's JSON files hold, checked when they are read."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import Field, RootModel, field_validator, model_validator

from normlab.runs.tables import Count, Part


class StudyCellRecord(Part):
    """A cell of study.json."""

    name: Annotated[str, Field(min_length=1)]  # of its folder
    values: dict[str, str | int | float | bool | list[Any] | None]
    seed: Count
    hash: str = ""

    @field_validator("name")
    @classmethod
    def _inside(cls, name: str) -> str:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
            raise ValueError("leads out of the study's folder")
        return name


class StudyRecord(Part):
    """study.json."""

    name: str
    title: str
    question: str
    task: str
    scale: str
    axes: dict[str, list[str | int | float | bool | list[Any] | None]]
    published: list[str] = Field([])
    claims: list[dict[str, Any]] = Field([])
    threads: Annotated[int, Field(ge=1)] | None = None
    search: dict[str, Any] | None = None
    planned_seeds: Annotated[int, Field(ge=2)] | None = None
    cells: list[StudyCellRecord]

    @model_validator(mode="after")
    def _cells_fit_the_axes(self) -> Self:
        seen: set[str] = set()
        for cell in self.cells:
            if set(cell.values) != set(self.axes):
                raise ValueError(f"cells: '{cell.name}' has values of {list(cell.values)}, not of the study's axes")
            for identity in (cell.name, repr((sorted(cell.values.items()), cell.seed))):
                if identity in seen:
                    raise ValueError(f"cells: '{cell.name}' stands twice")
                seen.add(identity)
        return self


class Tested(RootModel[dict[str, dict[str, float]]]):
    """tested.json of a search: cell -> its test metrics."""
