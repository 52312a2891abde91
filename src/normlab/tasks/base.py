"""The protocol between a task and the engine: all that the training loop knows about images, tags or SQL.

A task is stateless. `prepare` reads the data, `build` makes the network from the configuration and the data's card
alone (so that a trained model can be rebuilt without its training data), and everything random in `train_batches` is
a function of (seed, epoch), which is why a resumed run needs no loader state.
"""

from __future__ import annotations

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
    """Where and in which precision a model computes, and which share of each batch is its own."""

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
        """Large products in bfloat16 where asked for; parameters stay float32."""
        if self.precision == "bfloat16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


@dataclass
class StepOutput:
    """What one training step yields.

    Attributes:
        loss: scalar with a graph, the mean over the batch's examples.
        count: examples in the batch; the last batch may be smaller and weighs accordingly.
        sums: detached sums over the batch on the device, e.g. {"accuracy": number of correct ones}.
    """

    loss: Tensor
    count: int
    sums: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What a split measures.

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
    """Data that a task has read: the engine looks at these three only."""

    card: dict[str, Any]  # plain JSON: what `build` and `predict` need beside the configuration
    fingerprint: str  # of the decoded content; equal content, equal fingerprint
    sizes: Mapping[str, int]  # split -> number of examples


class Task(Protocol):
    """What the engine asks of a task.

    A task may have `labelled(config, card, split, *, whole)` too: a `TaskData` with the one split, of data that
    training never saw, labelled and encoded as a trained model's card does it (`engine.evaluation`).
    """

    name: str
    headline: str  # the metric a table leads with, e.g. "test/accuracy"
    monitor: str  # the validation metric that picks the best epoch
    shares_batches: bool  # whether `train_batches` heeds `placement.share`, so that several processes can train

    def prepare(self, config: Any) -> Any:
        """Read the data; return a `TaskData`."""

    def build(self, config: Any, card: Mapping[str, Any]) -> nn.Module:
        """Make the network, parameters as its constructor draws them."""

    def steps_per_epoch(self, config: Any, data: Any) -> int:
        """Return the number of training batches in an epoch."""

    def train_batches(self, config: Any, data: Any, epoch: int, placement: Placement) -> Iterator[Any]:
        """Yield an epoch's batches on the device: a function of (seed, epoch)."""

    def loss(self, model: nn.Module, batch: Any, config: Any) -> StepOutput:
        """Return the loss of a batch; called in the placement's autocast."""

    def settle(self, model: nn.Module, data: Any, config: Any, placement: Placement) -> None:
        """Bring the model into the state that is measured and saved, e.g. re-estimate its statistics."""

    def evaluate(
        self, model: nn.Module, data: Any, split: str, config: Any, placement: Placement, *, final: bool
    ) -> Evaluation:
        """Measure a split in evaluation mode; `final` asks for tables and predictions too."""

    def predict(
        self, model: nn.Module, source: Any, config: Any, card: Mapping[str, Any], placement: Placement
    ) -> Iterator[dict[str, Any]]:
        """Yield one record per input, in order, in constant memory."""

    def write_predictions(self, records: Iterator[dict[str, Any]], out: Path, form: str, source: Any) -> int:
        """Write records to a file in one of the task's forms; return their number."""


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the network inside torch.compile's and DistributedDataParallel's wrappers."""
    while True:
        inner = getattr(model, "_orig_mod", None) or (isinstance(model, DistributedDataParallel) and model.module)
        if not inner:
            return model
        model = inner
