"""A run on disk and its trained model: scores, predictions, measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from normlab.config import inference_only_fields
from normlab.engine.checkpoint import load_weights
from normlab.engine.device import choose_placement
from normlab.engine.evaluation import (
    Measured,
    data_to_measure,
    default_target,
    is_not_writable,
    refuse_unfinished,
    state_notes,
    write_evaluation,
)
from normlab.engine.splits import measure
from normlab.errors import UserError
from normlab.html_table import html_table
from normlab.runs import RunFolder
from normlab.runs.memory import frozen_objects
from normlab.runs.model_file import ModelFile
from normlab.runs.published import find_model
from normlab.runs.trusted_code import refuse_unknown
from normlab.tasks import TASKS, task_settings
from normlab.tasks.base import Placement, Task
from normlab.train_config import TrainConfig


class Run:
    """A run on disk and its trained model.

    Attributes:
        folder: the run folder (`.path`, `.metrics()`, `.environment()`).
        config: the task's configuration object.
    """

    def __init__(self, folder: RunFolder, *, device: str | None = None, **changes: Any) -> None:
        self.folder = folder
        values = folder.config()
        config_path = str(folder.path / "config.yaml")
        name = values.pop("task", None)
        if name is None:
            raise UserError(f"{config_path}: key 'task' is missing: add `task: image`, say")
        self.task: Task = TASKS.get(name)
        config = task_settings(name).make(None, values, config_path)
        self.config: TrainConfig = config if device is None else config.with_values("device", device=device)
        self.config = _changed(self.config, changes)
        self.changes = changes  # of inference-only settings
        self._kept_card: dict[str, Any] | None = None

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    def _card(self) -> dict[str, Any]:
        """The run's card, read once if training is over: that of a text-to-SQL model takes a tenth of a second."""
        if self._kept_card is None:
            card = self.folder.card()
            if not self.folder.done:
                return card
            self._kept_card = card
        return self._kept_card

    @property
    def result(self) -> dict[str, Any]:
        """The final result; `UserError` if the run is not done."""
        return self.folder.result()

    @property
    def metrics(self) -> Sequence[dict[str, Any]]:
        """One record per epoch."""
        return self.folder.metrics()

    def __repr__(self) -> str:
        return f"<Run of {self.task.name} in {self.path}>"

    def _repr_html_(self) -> str:
        """Return its state and its scores as a table for notebooks."""
        result = self.folder.result() if self.folder.done else {}
        rows = [(name, f"{value:.4g}") for name, value in result.get("metrics", {}).items()]
        return html_table(f"{self.path}: {self.folder.status()['state']}", ["metric", "value"], rows)

    @cached_property
    def placement(self) -> Placement:
        """Where and in which precision the model computes here."""
        return choose_placement(self.config, self._card().get("precision"), trains=False)

    @cached_property
    def model(self) -> nn.Module:
        """The trained network, in evaluation mode, with the weights that validation chose."""
        card = self._card()
        if not card:
            raise UserError(f"{self.path}: has not been trained yet: `normlab resume {self.path}`")
        self.refuse_strange_code()
        try:
            model = self.task.build(self.config, card)
        except UserError as error:
            raise error if str(self.path) in str(error) else UserError(f"{self.path}: {error}") from None
        except Exception as error:  # training built it: what was written down then has changed
            raise UserError(
                f"{self.path}: config.yaml and card.json do not describe a model ({type(error).__name__}: {error}): "
                "they were edited or damaged; restore them, or train again"
            ) from error
        load_weights(self.folder.weights, model)
        return model.to(self.placement.device).eval()

    def refuse_strange_code(self) -> None:
        """Raise `UserError` if the settings name code with which this user never trained (`runs/trusted_code.py`)."""
        refuse_unknown(self.config.own_code, str(self.path))

    def predict(self, source: Any) -> Iterator[dict[str, Any]]:
        """Yield one record per input, in order; the task says what a record holds (an image: class, probabilities)."""
        return self.task.predict(self.model, source, self.config, self._card(), self.placement)

    def predict_to(
        self,
        source: Any,
        out: Path,
        form: str = "auto",
        *,
        watch: Callable[[dict[str, Any]], None] | None = None,
    ) -> int:
        """Predict into a file; return the number of records. `watch` is called with each of them."""
        records = self.predict(source)
        if watch is not None:
            records = _watched(records, watch)
        with frozen_objects():
            return self.task.write_predictions(records, out, form, source)

    def read_as(self, source: Any) -> str:
        """Return what `predict` takes a source for ("running text"); "" if the task has nothing to guess."""
        return self.task.read_as(source, self.config, self._card())

    def measure(self, split: str, *, data: str | None = None, unfinished: bool = False) -> Measured:
        """Measure a split with the trained weights; writes nothing.

        Args:
            split: train, val or test.
            data: labelled data: those of training if they have moved, or others of the same classes. A file or a
                folder without splits is measured whole.
            unfinished: use the best weights so far of a run that is not over.
        Raises: UserError if training is not over, there is no such split, or the data have other classes.
        """
        if not unfinished:
            refuse_unfinished(self.folder)
        self.refuse_strange_code()
        config = self.config if data is None else self.config.with_values("data", data=data)
        data_set, notes = data_to_measure(self.task, self.folder, config, split, elsewhere=data is not None)
        evaluation = measure(self.task, self.model, data_set, split, config, self.placement, final=True)
        notes = [*self.notes(), *notes]
        return Measured(
            split, evaluation.metrics, evaluation.tables, evaluation.predictions, data_set.fingerprint, notes
        )

    def notes(self) -> list[str]:
        """Return what a reader of scores that are measured here must know of the run: its state, another precision."""
        trained, here = self._card().get("precision"), self.placement.precision
        other = [] if trained in {None, here} else [f"computed in {here}, trained in {trained}: last digits may differ"]
        return [*state_notes(self.folder), *other]

    def evaluate(
        self, split: str, *, data: str | None = None, out: Path | str | None = None, unfinished: bool = False
    ) -> dict[str, Any]:
        """Measure as `measure` does, write the result, and return {"metrics", "tables", "notes", "out"}.

        The files of training stay as they are: `evaluation.json` and `predictions.csv` go to the folder `out`, by
        default RUN/evaluations/NAME. For a run on a read-only disk nothing is written without `out`, and "out" is None.
        """
        measured = self.measure(split, data=data, unfinished=unfinished)
        return {"metrics": measured.metrics, "tables": measured.tables, **self.keep(measured, data=data, out=out)}

    def keep(self, measured: Measured, *, data: str | None = None, out: Path | str | None = None) -> dict[str, Any]:
        """Write a measurement; return {"notes": lines for the user, "out": the folder or None}."""
        target = default_target(self.folder, measured, self.changes) if out is None else Path(out)
        if (target / "config.yaml").exists():
            raise UserError(f"{target}: holds a run, which an evaluation must not change: choose another --out")
        about = {"run": str(self.path), "data": self.config.data if data is None else data, "changes": self.changes}
        try:
            write_evaluation(target, measured, about)
        except OSError as error:
            if out is not None or not is_not_writable(error):
                raise
            notes = [*measured.notes, f"{self.path} may not be written to: nothing is kept without --out"]
            return {"notes": notes, "out": None}
        return {"notes": measured.notes, "out": str(target)}


def load_run(path: Path | str, *, device: str | None = None, **changes: Any) -> Run:
    """Open a run folder, the one file that `normlab.runs.model_file.save_model` made of one, or a model by its name.

    Args:
        device: where to compute now.
        changes: other values of inference-only settings, such as text2sql's `beam_size`.
    Raises: UserError if it is neither, or a change is none of those.
    """
    path = find_model(path)
    kind = ModelFile if path.is_file() else RunFolder
    return Run(kind.open(path), device=device, **changes)


def _changed(config: TrainConfig, changes: dict[str, Any]) -> TrainConfig:
    free = inference_only_fields(type(config))
    for name in changes:
        if name not in free:
            known = f"only {', '.join(free)} can be" if free else "nothing of this task's can be"
            raise UserError(f"'{name}' cannot be changed after training: {known}")
    return config.with_values("changed settings", **changes) if changes else config


def _watched(records: Iterator[dict[str, Any]], watch: Callable[[dict[str, Any]], None]) -> Iterator[dict[str, Any]]:
    for record in records:
        watch(record)
        yield record
