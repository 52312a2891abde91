"""Some steps of normlab's training on a task's real batches, as in the engine's loop but without metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from normlab.engine.device import choose_placement
from normlab.engine.optim import build_optimizer
from normlab.engine.rng import initialise
from normlab.train_config import TrainConfig


class OwnTraining:
    """Callable: trains `steps` batches and returns how much they held.

    Args:
        amount: what a batch holds, e.g. its number of words.
    """

    def __init__(
        self, task: Any, config: TrainConfig, data: Any, steps: int, amount: Callable[[Any], int] = lambda batch: 1
    ) -> None:
        self.task, self.config, self.data, self.steps = task, config, data, steps
        self.placement = choose_placement(config)
        self.model = task.build(config, data.card)
        initialise(self.model, config.seed)
        self.optimizer = build_optimizer(self.model, config)
        self.amount = amount
        self._epoch = 0
        self._batches: Iterator[Any] = iter(())

    def __call__(self) -> int:
        """Train."""
        done = 0
        self.model.train()
        for _ in range(self.steps):
            batch = self._next()
            done += self.amount(batch)
            with self.placement.autocast():
                loss = self.task.loss(self.model, batch, self.config).loss
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
        return done

    def _next(self) -> Any:
        batch = next(self._batches, None)
        if batch is None:
            self._epoch += 1
            self._batches = self.task.train_batches(self.config, self.data, self._epoch, self.placement)
            batch = next(self._batches)
        return batch
