"""The training loop of every task.

No step waits for a GPU: sums stay on the device and are read once per epoch. A loss that is not finite ends the run as
"diverged", which is a result. The test split is read once, after training, with the weights that validation chose.
Everything random is a function of (seed, epoch), so a resumed run continues with the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from normlab.engine.averaging import weight_average
from normlab.engine.checkpoint import load_training, load_weights, save_training, save_weights
from normlab.engine.clipping import gradient_clipping
from normlab.engine.counters import Counters
from normlab.engine.determinism import compute_alike, recorded_threads
from normlab.engine.device import PeakMemory, choose_placement
from normlab.engine.distributed import ProcessGroup
from normlab.engine.divergence import DivergedError, FiniteWatch, first_not_finite
from normlab.engine.evaluation import refuse_other_data
from normlab.engine.graphs import CudaRecording, GraphedStep, make_capturable, reason_against
from normlab.engine.kernel_choices import record_choices, resumed_choices
from normlab.engine.layers import LayerRecord
from normlab.engine.optim import build_optimizer, learning_rate, set_learning_rate
from normlab.engine.outcome import result_of
from normlab.engine.precision import automatic_precision
from normlab.engine.progress import Progress
from normlab.engine.rng import initialise, seed_stream
from normlab.engine.scalars import ScalarLog
from normlab.engine.splits import measure, measure_final
from normlab.engine.tally import Tally
from normlab.engine.together import finish
from normlab.errors import UserError
from normlab.metrics import refuse_as_monitor
from normlab.plurals import plural
from normlab.runs import RunFolder, RunState
from normlab.runs.result import Divergence
from normlab.tasks.base import Evaluation, Task
from normlab.train_config import TrainConfig

Prune = Callable[[Mapping[str, Any]], bool]  # asked with an epoch's record; True ends the run as "pruned"


class Training:
    """A model, its data and its optimiser, and the loop that moves them: generators that pause after each step."""

    def __init__(
        self, task: Task, config: TrainConfig, folder: RunFolder, progress: Progress, group: ProcessGroup
    ) -> None:
        config = group.assign_device(config)
        self.task, self.config, self.folder, self.progress, self.group = task, config, folder, progress, group
        self.placement = choose_placement(config, folder.card().get("precision"))
        self.memory = PeakMemory(self.placement.device)
        self.data = group.all_or_none(lambda: task.prepare(config), lambda data: data.fingerprint)
        group.refuse_small_batches(config, self.data.sizes["train"])
        refuse_other_data(folder, self.data)
        used = {"fingerprint": self.data.fingerprint, "precision": self.placement.precision}
        alike = recorded_threads(config, folder, progress.say)
        folder.write_card({**self.data.card, **used, **alike, **resumed_choices(folder)})
        task.refuse_changes(config)
        self.monitor = config.monitor or task.monitor
        refuse_as_monitor(self.monitor)
        self._begin()
        for note in self.data.card.get("notes", ()):  # after all that can fail: an error is one line alone
            progress.say(note)
        if self.counters.epoch:
            progress.say(f"resuming after epoch {self.counters.epoch}")
        if config.precision == "auto":
            choice = automatic_precision(self.placement.device, measured=not config.deterministic)
            progress.say(f"precision: {self.placement.precision} ({choice.reason})")
        self.scalars = ScalarLog(folder.path)
        self.layers = LayerRecord(self.model, folder, on=config.distributions == "all")
        self.watch, self.tally = FiniteWatch(self.placement.device), Tally()
        self.step = self._ready_step()

    def _begin(self) -> None:
        """Build the model and what moves it, as before the first step or as the last checkpoint has them."""
        config = self.config
        seed_stream(config.seed, "build")
        self.model = self.task.build(config, self.data.card)
        self._draw_weights()
        self.model.to(self.placement.device)
        self.optimizer = build_optimizer(self.model, config)
        self.clip = gradient_clipping(self.model, config, self.optimizer.param_groups)
        self.average = weight_average(self.model, config, wanted=self.group.is_rank0)
        self.counters = self._restore()
        stepped: nn.Module = torch.compile(self.model) if config.compile else self.model  # type: ignore[assignment]
        self.stepped_model = self.group.wrap(stepped)

    def run(self, prune: Prune | None = None) -> Generator[None, None, dict[str, Any]]:
        """Train to the end, measure every split, and return the result; a pruned run measures nothing more."""
        diverged = None
        final: dict[str, Any] = {"metrics": {}, "tables": {}}
        try:
            while self.group.broadcast_continue(self.counters.wants_more(self.config)):
                if prune is not None and self.counters.epoch and prune(self.folder.metrics()[-1]):
                    self.progress.say(f"pruned after epoch {self.counters.epoch}")
                    self.group.stop()
                    self.scalars.close({}, self.counters.epoch)
                    return result_of(self, final, RunState.PRUNED)
                yield from self.run_epoch()
            if reason := self.counters.reason_to_stop(self.config, self.monitor):
                self.progress.say(reason)
            if self.config.select == "best" or self.average.on:
                load_weights(self.folder.checkpoints / "model.safetensors", self.model)
            final = measure_final(self.task, self.model, self.data, self.config, self.placement, self.folder)
        except DivergedError as error:
            self.group.stop()
            self.progress.say(f"diverged: {error}")
            diverged = Divergence(epoch=error.epoch, step=error.step, reason=str(error))
        self.scalars.close(final["metrics"], self.counters.epoch)
        return result_of(self, final, RunState.DIVERGED if diverged else RunState.FINISHED, diverged)

    def run_epoch(self) -> Generator[None, None, None]:
        """Train one epoch, measure it, and save a checkpoint."""
        counters, config, checkpoints = self.counters, self.config, self.folder.checkpoints
        started = time.perf_counter()
        try:
            record = yield from self.train_steps()
        except DivergedError as error:
            raise self._placed(error) from None
        trained = time.perf_counter() - started
        with self.average.in_use():
            record |= self.measure_epoch()
        counters.epoch += 1
        seconds = time.perf_counter() - started
        counters.seconds += seconds
        record = {"epoch": counters.epoch, "step": counters.step, **record, "seconds": seconds}
        record |= {"train_seconds": trained, "examples_per_second": self.data.sizes["train"] / trained}
        improved = counters.judge(record, self.monitor, config.min_delta)
        if improved or config.select == "last":
            with self.average.in_use():
                save_weights(checkpoints / "model.safetensors", self.model)
        self.folder.append_metrics(record)
        by_layer = self.layers.write(counters.epoch, record["lr"])
        record_choices(self.folder)
        save_training(self._last, self.model, self.optimizer, asdict(counters), self.average.tensors)
        self.scalars.add(record | by_layer)
        self.progress.epoch(record, config.epochs, self.monitor, best=improved)

    def train_steps(self) -> Generator[None, None, dict[str, float]]:
        """Run an epoch's steps; return the means over its examples, computed while the weights changed."""
        task, config, counters, group = self.task, self.config, self.counters, self.group
        placement = group.with_rank(self.placement)
        self.model.train()
        seed_stream(config.seed, "dropout", counters.epoch, *([group.rank] if group.rank else []))
        steps = task.steps_per_epoch(config, self.data)
        self.watch.begin(counters.epoch + 1, counters.step)
        self.tally.begin()
        batches = task.train_batches(config, self.data, counters.epoch, placement)
        count, lr = 0, 0.0
        for batch in self.progress.steps(batches, steps, f"epoch {counters.epoch + 1}/{config.epochs}"):
            lr = learning_rate(config, counters.step, steps)
            set_learning_rate(self.optimizer, lr)
            count += self.step(batch)
            counters.step += 1
            self.average.update(counters.step)
            yield
            compute_alike(config.deterministic)  # another run's step may have been made meanwhile
        self.watch.raise_if_diverged()
        count, sums = group.all_reduce(count, self.tally.sums())
        return {"lr": lr, **{f"train/online_{name}": float(value) / count for name, value in sums.items()}}

    def _ready_step(self) -> Callable[[Any], int]:
        """Return the function that makes a step; on a GPU it may replay a recorded CUDA graph."""
        placement = self.group.with_rank(self.placement)
        if reason_against(self.config, placement, fixed_shapes=self.task.fixed_shapes):
            return self._plain_step
        make_capturable(self.optimizer, placement.device)
        return GraphedStep(self._plain_step, lambda: CudaRecording(placement.device), self.progress.say)

    def _plain_step(self, batch: Any) -> int:
        """Move the weights by one batch and add to the epoch's sums; return the number of its examples.

        All updates are in place and nothing is read back, so that the step can be recorded and replayed.
        """
        with self.placement.autocast():
            output = self.task.loss(self.stepped_model, batch, self.config)
        weighted_loss, loss = self.group.whole_batch(output.loss, output.count)
        try:
            self.watch.look(loss)
        except DivergedError as error:  # on a CPU, before the weights move: the layer can still be seen
            raise error.with_place(first_not_finite(self.model, partial(self._loss_again, batch))) from None
        self.optimizer.zero_grad(set_to_none=True)
        weighted_loss.backward()
        self.layers.look()
        if self.clip is not None:
            self.clip()
        self.optimizer.step()
        self.tally.add({"loss": output.loss.detach() * output.count, **output.sums})
        return output.count

    def _loss_again(self, batch: Any) -> object:
        with self.placement.autocast():
            return self.task.loss(self.model, batch, self.config)

    def _placed(self, error: DivergedError) -> DivergedError:
        """Return the error of an epoch whose losses stayed on the GPU with the layer at which it began.

        The epoch is gone through again, from the state with which a resumed run would begin it, and every loss is
        read. Several processes would all have to take part: they go without.
        """
        if self.watch.immediate or self.group.size > 1:
            return error
        self.progress.say(f"{error}; the epoch is gone through again to find the layer")
        counters = self.counters
        self._begin()
        self.stepped_model = self.model
        self.watch, self.step = FiniteWatch(self.placement.device, immediate=True), self._plain_step
        try:
            finish(self.train_steps())
        except DivergedError as again:
            same = again.step == error.step
            return error.with_place(again.where if same else f"the second time at step {again.step}, {again.where}")
        finally:
            self.counters = counters
        return error.with_place("it did not happen again when the epoch was gone through a second time")

    def measure_epoch(self) -> dict[str, float]:
        """Measure what is measured after each epoch, with the weights as they are."""
        with self.placement.autocast():
            self.task.finalize_statistics(self.model, self.data, self.config, self.placement)
        splits = ("train", "val") if self.config.train_metrics == "every_epoch" else ("val",)
        metrics: dict[str, float] = {}
        for split in splits:
            evaluation = self._measure(split)
            metrics |= evaluation.metrics
        self.layers.take(evaluation.tables)  # of the last split, val
        if not math.isfinite(metrics.get("val/loss", 0.0)):
            where = first_not_finite(self.model, partial(self._measure, "val"))
            raise DivergedError("the validation loss", self.counters.epoch + 1, self.counters.step, where)
        return metrics

    def _measure(self, split: str) -> Evaluation:
        return measure(self.task, self.model, self.data, split, self.config, self.placement)

    def _draw_weights(self) -> None:
        """Draw new weights; those of the model that the task starts from replace them, unless a checkpoint will."""
        initialise(self.model, self.config.seed)
        self.task.start_from_data(self.model, self.data, self.config)
        start = None if self._last.exists() else self.task.first_weights(self.config)
        if start is not None:
            load_weights(start, self.model)

    @property
    def _last(self) -> Path:
        return self.folder.checkpoints / "last.safetensors"

    def _restore(self) -> Counters:
        last = self._last
        if not last.exists():
            self.folder.keep_metrics(0)
            return Counters(processes=self.group.size)
        saved = load_training(last, self.model, self.optimizer, self.average.tensors)
        counters = Counters.restored(saved, str(last))
        if counters.processes != self.group.size:
            raise UserError(
                f"{self.folder.path}: was begun by {plural(counters.processes, 'process', 'processes')}, but these "
                f"are {self.group.size}: "
                f"go on with `torchrun --nproc-per-node {counters.processes} -m normlab resume {self.folder.path}`"
            )
        self.folder.keep_metrics(counters.epoch)
        return counters
