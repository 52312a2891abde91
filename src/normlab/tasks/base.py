"""The interface between a task and the engine: all that the training loop knows about images, tags or SQL.

A task is stateless. `prepare` reads the data, `build` makes the network from the configuration and the data's card
alone (so that a trained model can be rebuilt without its training data), and everything random in `train_batches` is
a function of (seed, epoch), which is why a resumed run needs no loader state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from normlab.metrics import lower_is_better

__all__ = ["Evaluation", "Placement", "StepOutput", "Task", "TaskData", "lower_is_better", "unwrapped"]

_Rows = TypeVar("_Rows", Tensor, np.ndarray)


@dataclass(frozen=True)
class Placement:
    """Where and in which precision a model computes, and which share of each batch this process takes."""

    device: torch.device
    precision: str = "float32"
    rank: int = 0  # of this process among those that train together
    processes: int = 1

    @property
    def dtype(self) -> torch.dtype:
        """The type in which inputs reach the network."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def share(self, batch: _Rows) -> _Rows:
        """Return this process's part of a batch's rows, (N,) -> (ceil or floor of N / processes,)."""
        return batch[self.rank :: self.processes] if self.processes > 1 else batch

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the autocast context: large products in bfloat16 if `precision` says so; parameters stay float32."""
        if self.precision == "bfloat16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


@dataclass
class StepOutput:
    """The result of one training step.

    Attributes:
        loss: scalar with a graph, the mean over the examples of the batch.
        count: examples in the batch; the last batch may be smaller, and its weight in means is smaller accordingly.
        sums: detached sums over the batch on the device, e.g. {"accuracy": number of correct ones}.
    """

    loss: Tensor
    count: int
    sums: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating a split.

    Attributes:
        metrics: name -> number, without the split's prefix; fractions, never percentages. `normlab.metrics` knows each
            name, and the task's `SETTINGS.metrics` lists it.
        tables: plain JSON values for the report, e.g. the confusion matrix.
        predictions: columns of equal length, one row per example.
        examples: name -> plain JSON of a few examples, for the report; a file each, outside of the scores.
    """

    metrics: dict[str, float]
    tables: dict[str, Any] = field(default_factory=dict)
    predictions: dict[str, np.ndarray] = field(default_factory=dict)
    examples: dict[str, Any] = field(default_factory=dict)


class TaskData(Protocol):
    """Data that a task has read: the engine uses these three attributes only."""

    card: dict[str, Any]  # plain JSON: what `build` and `predict` need beside the configuration
    fingerprint: str  # of the decoded content; equal content, equal fingerprint
    sizes: Mapping[str, int]  # split -> number of examples


class Task(ABC):
    """What the engine asks of a task. A subclass defines three names and the abstract methods.

    `prepare` returns a `TaskData`; the same object is handed to the methods that take `data`. `config` is the task's
    own configuration class and `card` the data's card, plain JSON. `normlab.tasks.check.check_task` tests a subclass.

    Attributes:
        name: the task's name in commands and in run folders.
        headline: the metric that a table leads with, e.g. "test/accuracy".
        monitor: the validation metric that picks the best epoch.
        fixed_shapes: whether all batches but the last of an epoch have one shape, so that steps can be recorded
            (`engine.graphs`).
        shares_batches: whether `train_batches` yields only `placement.share` of each batch, so that several processes
            can train one run.
    """

    name: str
    headline: str
    monitor: str
    fixed_shapes: bool = False
    shares_batches: bool = False

    @abstractmethod
    def prepare(self, config: Any) -> Any:
        """Read the data; return a `TaskData`."""

    @abstractmethod
    def build(self, config: Any, card: Mapping[str, Any]) -> nn.Module:
        """Make the network, parameters as its constructor draws them."""

    @abstractmethod
    def steps_per_epoch(self, config: Any, data: Any) -> int:
        """Return the number of training batches in an epoch."""

    @abstractmethod
    def train_batches(self, config: Any, data: Any, epoch: int, placement: Placement) -> Iterator[Any]:
        """Yield an epoch's batches on the device: a function of (seed, epoch)."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any, config: Any) -> StepOutput:
        """Return the loss of a batch; called in the placement's autocast."""

    @abstractmethod
    def evaluate(
        self, model: nn.Module, data: Any, split: str, config: Any, placement: Placement, *, final: bool
    ) -> Evaluation:
        """Measure a split in evaluation mode; `final` asks for tables and predictions too."""

    @abstractmethod
    def predict(
        self, model: nn.Module, source: Any, config: Any, card: Mapping[str, Any], placement: Placement
    ) -> Iterator[dict[str, Any]]:
        """Yield one record per input, in order, in constant memory."""

    @abstractmethod
    def write_predictions(self, records: Iterator[dict[str, Any]], out: Path, form: str, source: Any) -> int:
        """Write records to a file in one of the task's forms; return their number."""

    def first_weights(self, config: Any) -> Path | None:
        """Return a file of weights that replace those drawn at the start of training; by default None."""
        return None

    def preflight(self, config: Any) -> None:
        """Raise `UserError` if code that is not normlab's and that `config` names cannot be trained.

        Asked before a run folder or a study's folder is made, where `config.own_code` names any code.
        """
        return

    def refuse_changes(self, config: Any) -> None:
        """Raise `UserError` if code that `config` names is no longer that with which the run began."""
        return

    def start_from_data(self, model: nn.Module, data: Any, config: Any) -> None:
        """Set what of a new model is computed from the training data and not drawn; by default nothing is."""
        return

    def finalize_statistics(self, model: nn.Module, data: Any, config: Any, placement: Placement) -> None:
        """Bring the model into the state that is measured and saved, after each epoch; by default it is in it.

        An image model with `bn_statistics: precise` estimates its running statistics anew here.
        """
        return

    def prepared_by(self, config: Any, card: Mapping[str, Any]) -> Any:
        """Read a run's own data as `prepare` does, with what its card holds in the place of files of training.

        For a model whose other inputs are not at hand; return a `TaskData`. By default None: `prepare` is the only way.
        """
        return None

    def labelled(self, config: Any, card: Mapping[str, Any], split: str, *, whole: bool) -> Any:
        """Read labelled data that training never saw, encoded with a trained model's card; return a `TaskData`.

        The data hold the one split. `whole`: data without splits are one split. By default None: models of this task
        can be measured on the data of their training only.
        """
        return None

    def read_as(self, source: Any, config: Any, card: Mapping[str, Any]) -> str:
        """Say in words what `predict` takes a source for, where there is a choice ("running text"); by default ""."""
        return ""


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside torch.compile's and DistributedDataParallel's wrappers."""
    while True:
        inner = getattr(model, "_orig_mod", None) or (isinstance(model, DistributedDataParallel) and model.module)
        if not inner:
            return model
        model = inner
