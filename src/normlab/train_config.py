"""The settings of a training run, whatever the task, and how a task is configured: its settings and its presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import field_validator, model_validator

from normlab.acting import Unless, When
from normlab.config import Config, option
from normlab.errors import UserError, did_you_mean
from normlab.plurals import plural

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
                f"warmup_epochs: {self.warmup_epochs:g} of {plural(self.epochs, 'epoch')}: the learning rate would "
                "never reach its peak; warm up for fewer"
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
