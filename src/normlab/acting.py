"""Which settings act: many do nothing unless another has a certain value. A flag that does nothing is refused.

A field declares it, `option(..., acts_with=When("optimizer", "sgd", "rmsprop"))`. Only what a person gives is
checked: a preset or a study's `base` may well set what some of its cells do not use.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from normlab.errors import UserError


@dataclass(frozen=True, init=False)
class When:
    """True of a configuration in which a setting has one of some values."""

    setting: str
    values: tuple[Any, ...]

    def __init__(self, setting: str, *values: Any) -> None:
        object.__setattr__(self, "setting", setting)
        object.__setattr__(self, "values", values)

    def holds(self, config: BaseModel) -> bool:
        """Say whether it is so."""
        return getattr(config, self.setting) in self.values

    def __str__(self) -> str:
        return f"{self.setting} {' or '.join(map(_shown, self.values))}"


class Unless(When):
    """True of a configuration in which a setting has none of some values."""

    def holds(self, config: BaseModel) -> bool:
        """Say whether it is so."""
        return not super().holds(config)

    def __str__(self) -> str:
        return f"{self.setting} other than {' or '.join(map(_shown, self.values))}"


def missing_condition(config: BaseModel, name: str) -> When | None:
    """Return the first condition without which a setting does nothing and that does not hold; None if it acts."""
    extra = type(config).model_fields[name].json_schema_extra
    conditions: Any = extra.get("acts_with", ()) if isinstance(extra, dict) else ()
    return next((condition for condition in conditions if not condition.holds(config)), None)


def refuse_ignored(configs: Iterable[BaseModel], given: Iterable[str]) -> None:
    """Raise `UserError` for the first given setting that acts in none of the configurations.

    Args:
        configs: what will run: one, or every cell of a study.
        given: names of settings that a person gave.
    """
    every = list(configs)
    for name in given:
        missing = [missing_condition(config, name) for config in every]
        condition = missing[0] if missing and all(missing) else None
        if condition is not None:
            now = _shown(getattr(every[0], condition.setting))
            flag, other = (f"--{word.replace('_', '-')}" for word in (name, condition.setting))
            raise UserError(f"{flag}: does nothing with {other} {now}, only with {condition}: drop or change one")


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
