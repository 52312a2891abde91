"""Strict, typed, frozen configuration: YAML <-> object, command-line strings, and the hash of what matters.

Settings of a task are a subclass of `TrainConfig` (`train_config.py`). Every field carries a description, which is
also the help of its command-line flag. Unknown keys are refused with the nearest known name, and `config_hash` covers
exactly the fields that can change a result: paths, the device and the log are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticUndefined

from normlab.acting import When
from normlab.errors import UserError, did_you_mean, shortened, with_value
from normlab.yaml_file import dump_yaml, parse_yaml, read_yaml


def option(
    default: Any = PydanticUndefined,
    help: str = "",
    *,
    affects_result: bool = True,
    added_later: bool = False,
    inference_only: bool = False,
    filled_in: bool = False,
    acts_with: When | tuple[When, ...] = (),
    **limits: Any,
) -> Any:
    """Declare a configuration field: its default, its help, and its limits (`gt`, `ge`, `le`, ...).

    Args:
        affects_result: False keeps a field (a path, the device, the log) out of `config_hash`.
        added_later: the field is newer than existing results. Its default, which is what was done before it existed,
            is left out of `config_hash`, so that the hashes of those results stay the same.
        inference_only: training does not depend on the field, so a trained run may be measured with another value.
        filled_in: the configuration finds the value itself, and there is no flag for it.
        acts_with: conditions on other settings without which this one has no effect (`normlab.acting`).
    """
    attributes: dict[str, Any] = {
        "affects_result": affects_result,
        "added_later": added_later,
        "inference_only": inference_only,
        "filled_in": filled_in,
        "acts_with": acts_with if isinstance(acts_with, tuple) else (acts_with,),
    }
    return Field(default, description=help, json_schema_extra=attributes, **limits)


class Config(BaseModel):
    """A frozen set of named values; unknown names are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false, which would count as 1 and 0, where a number is wanted."""
        if isinstance(value, bool) and info.field_name in cls.model_fields:
            annotation = cls.model_fields[info.field_name].annotation
            if {*(get_args(annotation) or (annotation,))} <= {int, float, type(None)}:
                raise ValueError("should be a number")
        return value

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Self:
        """Build from plain values; `where` is the place named in an error ("study.yaml", "command line").

        Values that were read from a file (a `YamlMapping`) are named with their line too.
        Raises: UserError with the first problem in one line.
        """
        if not isinstance(values, Mapping):
            raise UserError(f"{where}: expected settings, `key: value`, got {shortened(values)}")
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            # A misspelt key is the likely cause of a missing one, so it comes first.
            problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
            line = getattr(values, "lines", {}).get(str(problems[0]["loc"][0])) if problems[0]["loc"] else None
            raise UserError(cls._explain(problems[0], f"{where}:{line}" if line else where)) from None

    @classmethod
    def _explain(cls, problem: ErrorDetails, where: str) -> str:
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] in ("extra_forbidden", "missing"):
            *outer, name = map(str, problem["loc"])
            fields = _config_at(cls, outer).model_fields
            place = f"{where}: {'.'.join(outer)}" if outer else where
            if problem["type"] == "missing":
                return f"{place}: key '{name}' is missing: {fields[name].description}"
            return f"{place}: unknown key {shortened(name)}: {did_you_mean(name, fields)}"
        message = problem["msg"].removeprefix("Value error, ")
        place = f"{where}: {key}" if key else where
        if not problem["loc"]:  # settings that contradict each other
            return f"{place}: {message}"
        return f"{place}: {with_value(message[0].lower() + message[1:], problem['input'])}"

    @classmethod
    def from_strings(cls, values: Mapping[str, str]) -> dict[str, Any]:
        """Turn command-line strings into plain values: text stays text, everything else is read as YAML.

        An optional field takes the word `none`.
        """
        plain: dict[str, Any] = {}
        for key, text in values.items():
            kinds = _kinds(cls.model_fields[key].annotation) if key in cls.model_fields else {str}
            if type(None) in kinds and text.lower() == "none":
                plain[key] = None
            else:
                plain[key] = text if str in kinds else parse_yaml(text, f"--{key.replace('_', '-')}")
        return plain

    def with_values(self, where: str, **changes: Any) -> Self:
        """Return a validated copy with some values changed."""
        return self.parse({**self.model_dump(), **changes}, where)

    def to_yaml(self) -> str:
        """Return YAML that `from_yaml` reads back to an equal object."""
        return dump_yaml(self.model_dump(mode="json"))

    @classmethod
    def from_yaml(cls, path: Path) -> Self:
        """Read a file; raise `UserError` naming it."""
        return cls.parse(read_yaml(path), str(path))


def config_hash(config: Config) -> str:
    """Return 12 hex digits over the fields that can change a result."""
    kind = type(config)
    hashed_values = {
        name: value
        for name, value in config.model_dump(mode="json").items()
        if affects_result(kind, name)
        and not (_marked(kind, name, "added_later") and getattr(config, name) == kind.model_fields[name].default)
    }
    return hashlib.sha256(json.dumps(hashed_values, sort_keys=True).encode()).hexdigest()[:12]


def affects_result(config_class: type[Config], name: str) -> bool:
    """Say whether a field is part of `config_hash`."""
    extra = config_class.model_fields[name].json_schema_extra
    return not isinstance(extra, dict) or extra.get("affects_result", True) is not False


def inference_only_fields(config_class: type[Config]) -> list[str]:
    """Return the fields that training does not depend on."""
    return [name for name in config_class.model_fields if _marked(config_class, name, "inference_only")]


def is_filled_in(config_class: type[Config], name: str) -> bool:
    """Say whether a field's value is found by the configuration itself."""
    return _marked(config_class, name, "filled_in")


def field_kinds(config_class: type[Config], name: str) -> set[type]:
    """Return the plain types that a field takes, e.g. {float, NoneType}."""
    return _kinds(config_class.model_fields[name].annotation)


def _marked(config_class: type[Config], name: str, mark: str) -> bool:
    extra = config_class.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and extra.get(mark, False) is True


def _config_at(config_class: type[Config], keys: Sequence[str]) -> type[Config]:
    """Return the class of a configuration nested in another one, e.g. at ("scales", "demo")."""
    for key in keys:
        if key in config_class.model_fields:
            kinds = _kinds(config_class.model_fields[key].annotation)
            config_class = next((kind for kind in kinds if issubclass(kind, Config)), config_class)
    return config_class


def _kinds(annotation: Any) -> set[type]:
    """Return the plain types that an annotation admits; the choices of a Literal count by their type."""
    if isinstance(annotation, type):
        return {annotation}
    parts = get_args(annotation)
    return {kind for part in parts for kind in (_kinds(part) if _is_annotation(part) else {type(part)})}


def _is_annotation(part: Any) -> bool:
    return isinstance(part, type) or bool(get_args(part))
