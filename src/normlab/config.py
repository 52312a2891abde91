"""Strict, typed, frozen configuration: YAML <-> object, command-line strings, and the hash of what matters.

A task subclasses `TrainConfig` with its own fields. Every field carries a description, which is also the help of
its command-line flag. Unknown keys are refused with the nearest known name, and `config_hash` covers exactly the
fields that can change a result: paths, the device and the log are left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticUndefined

from normlab.acting import Unless, When
from normlab.errors import UserError, did_you_mean, shortened
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
        return f"{place}: {message[0].lower() + message[1:]}, got {shortened(problem['input'])}"

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


UpdateRule = Literal["sgd", "adam", "adamw", "muon", "adadelta", "adagrad", "rmsprop"]
Schedule = Literal["constant", "linear", "step", "multistep", "cosine", "one_cycle"]


class TrainConfig(Config):
    """What the engine's training loop needs to know, whatever the task."""

    seed: int = option(0, "seed of every random stream of the run", ge=0, lt=2**63)
    data: str = option("", "name of a built-in data set, or a path", affects_result=False)
    epochs: int = option(10, "passes over the training part", ge=1)
    extended_at: tuple[int, ...] = option(
        (), "epochs at which the run had ended before it was given a later end", added_later=True, filled_in=True
    )
    batch_size: int = option(128, "examples in one step", ge=1)
    eval_batch_size: int = option(500, "examples in one evaluation step", ge=1, affects_result=False)
    limit_train: int | None = option(None, "use only so many training examples, drawn by seed", ge=1)

    optimizer: UpdateRule = option(
        "sgd", "update rule; muon: orthogonal steps for the matrices of hidden layers, AdamW for all else"
    )
    lr: float = option(0.1, "peak learning rate", gt=0)
    lr_rest: float = option(
        3e-3,
        "muon: peak learning rate of what goes by AdamW; `lr` is that of the matrices",
        gt=0,
        added_later=True,
        acts_with=When("optimizer", "muon"),
    )
    lr_scaling: Literal["fixed", "linear"] = option("fixed", "linear: lr is for batch size 128, scaled in proportion")
    momentum: float = option(
        0.9, "momentum of SGD, RMSprop and Muon", ge=0, lt=1, acts_with=When("optimizer", "sgd", "rmsprop", "muon")
    )
    nesterov: bool = option(
        False, "Nesterov's form of momentum (SGD)", acts_with=(When("optimizer", "sgd"), Unless("momentum", 0))
    )
    weight_decay: float = option(1e-4, "L2 penalty; decoupled in AdamW", ge=0)
    clip_norm: float | None = option(None, "clip the gradient's global norm to this", gt=0)
    clip_adaptive: float | None = option(
        None,
        "clip each unit's gradient to this share of its weights' norm (Brock et al. 2021), instead of `clip_norm`",
        gt=0,
        added_later=True,
    )

    schedule: Schedule = option("multistep", "how the learning rate moves over the run")
    lr_milestones: tuple[float, ...] = option(
        (0.5, 0.75), "multistep: drop at these fractions of the run", acts_with=When("schedule", "multistep")
    )
    lr_step: float = option(
        0.25, "step: drop after each such fraction of the run", gt=0, acts_with=When("schedule", "step")
    )
    lr_gamma: float = option(
        0.1, "step, multistep: factor of each drop", gt=0, le=1, acts_with=When("schedule", "step", "multistep")
    )
    warmup_epochs: float = option(0.0, "linear warm-up from zero, in epochs", ge=0)
    one_cycle_peak: float = option(
        0.3, "one_cycle: fraction of the run at which lr peaks", gt=0, lt=1, acts_with=When("schedule", "one_cycle")
    )

    average: Literal["none", "ema"] = option(
        "none",
        "which weights are measured and saved: none: those of the last step; ema: an exponential moving average over "
        "the steps (training itself goes on without it)",
        added_later=True,
    )
    average_decay: float = option(
        0.999,
        "ema: how much of the average a step keeps, in the long run",
        ge=0,
        lt=1,
        added_later=True,
        acts_with=When("average", "ema"),
    )

    monitor: str = option("", "validation metric that picks the best epoch; empty: the task's own")
    select: Literal["best", "last"] = option("best", "which weights are tested: best epoch by `monitor`, or last")
    patience: int | None = option(None, "stop after so many epochs in a row without progress", ge=1)
    min_delta: float = option(
        0.0,
        "progress: `monitor` better than at the last progress by more than this",
        ge=0,
        acts_with=Unless("patience", None),
    )
    train_metrics: Literal["every_epoch", "end"] = option(
        "every_epoch", "when the training part is measured in evaluation mode", affects_result=False
    )

    measure_test: bool = option(
        True,
        "measure the test split at the end; false: leave it unseen while settings are chosen",
        affects_result=False,
    )
    distributions: Literal["off", "penultimate", "all"] = option(
        "penultimate",
        "recorded after each epoch: off: nothing; penultimate: percentiles of the features before the output layer "
        "(images); all: every layer's percentiles, dead channels, gates, and norms of weights and gradients",
        affects_result=False,
    )

    precision: Literal["auto", "float32", "bfloat16"] = option("auto", "auto: bfloat16 where it is faster here")
    deterministic: bool = option(
        False,
        "repeat a run bit by bit on this machine with as many threads: deterministic algorithms only, and no choice of "
        "kernel or precision by measurement",
        added_later=True,
    )
    compile: bool = option(False, "run the model through torch.compile")
    cuda_graphs: Literal["auto", "on", "off"] = option(
        "auto",
        "replay a whole training step as one CUDA graph; auto: where batches have one shape (images on a GPU)",
        affects_result=False,
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps", affects_result=False)
    threads: int | None = option(None, "CPU threads; none: all cores", ge=1, le=1024, affects_result=False)

    @property
    def own_code(self) -> tuple[str, ...]:
        """References to code that is not normlab's, which `Task.preflight` tries and `Run` imports only if known."""
        return ()

    @field_validator("lr_milestones")
    @classmethod
    def _fractions(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < milestone < 1 for milestone in milestones):
            raise ValueError("must be fractions of the run, between 0 and 1")
        return milestones

    @model_validator(mode="before")
    @classmethod
    def _clip_in_one_way(cls, values: Any) -> Any:
        """Let a given `clip_adaptive` take the place of a default `clip_norm`."""
        if isinstance(values, Mapping) and values.get("clip_adaptive") is not None:
            return {"clip_norm": None, **values}
        return values

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Refuse settings that contradict each other."""
        if self.clip_norm is not None and self.clip_adaptive is not None:
            raise ValueError(
                f"clip_norm: {self.clip_norm:g} and clip_adaptive: {self.clip_adaptive:g}: give one of them"
            )
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs: {self.warmup_epochs:g} of {self.epochs} epochs: the learning rate would never reach "
                "its peak; warm up for fewer"
            )
        return self

    @field_validator("cuda_graphs", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value  # YAML's own on and off


@dataclass(frozen=True)
class TaskSettings:
    """How a task is configured: its class of configurations, and named sets of changes to the defaults.

    The presets hold at least the three scales: smoke (seconds), demo (minutes), full (the published protocol).
    `metrics` are the bare names that the task measures, each declared in `normlab.metrics`.
    """

    config_class: type[TrainConfig]
    presets: Mapping[str, Mapping[str, Any]]
    metrics: tuple[str, ...] = ()

    def make(self, preset: str | None, changes: Mapping[str, Any], where: str) -> TrainConfig:
        """Return the defaults, changed by a preset, then by `changes`; `where` is their place in an error."""
        changed = self.preset(preset, where)
        return self.config_class.parse({**changed, **changes} if changed else changes, where)

    def preset(self, name: str | None, where: str) -> Mapping[str, Any]:
        """Return a preset's changes; none for None. Raises: UserError with the nearest name."""
        if name is None:
            return {}
        if name not in self.presets:
            raise UserError(f"{where}: unknown preset '{name}': {did_you_mean(name, self.presets)}")
        return self.presets[name]


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
